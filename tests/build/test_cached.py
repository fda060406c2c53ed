"""Builds that begin in the middle, from a lock file, elsewhere, at once: the same bytes always."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.build.debian import Archive, point_apt_there
from tests.build.test_build import UNSIGNED
from tests.fakes import Signer, alters, answers, fake_program, names_in
from vztmpl.build.lock import Lock

pytestmark = pytest.mark.root

VZTMPL = str(Path(sys.executable).with_name("vztmpl"))
NAME = "tiny-1-x86_64-minimal"
OTHER = "tiny-1-x86_64-other"
RECIPE = """\
os = "tiny"
description = "Tiny"
bootstrapper = "mmdebstrap"
sets = ["minimal", "other"]
releases = { 1 = "sid" }
architectures = { x86_64 = "amd64" }

[[packages]]
install = ["one", "slow"]

[[packages]]
when = { set = "other" }
install = ["three"]

[[scripts]]
at = "final"
run = "ls /usr/share > /etc/seen; umask >> /etc/seen"
"""


@pytest.fixture
def place(mirror: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both layers take longer than a second, so that they are kept."""
    mirror.add("apt", postinst="sleep 0.5; echo apt >> /var/lib/made; touch /etc/now")
    mirror.add("slow", postinst="sleep 0.9; echo slow >> /var/lib/made")
    mirror.publish()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/tiny.toml").write_text(RECIPE)
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    return tmp_path


def command(place: Path, *names: str, out: str = "out") -> list[str]:
    options = [f"--out={place}/{out}", f"--recipes={place}/recipes", "--unsigned", "--json"]
    return [VZTMPL, "build", *options, *(names or (NAME,))]


def run(words: list[str], *, ok: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == ok, done.stdout + done.stderr
    return done


def build(place: Path, *words: str, out: str = "out") -> tuple[str, str]:
    """Build; return the digest, and what it said."""
    done = run(command(place, *(words or (NAME,)), out=out))
    return json.loads(done.stdout)["digest"], done.stderr


def change(place: Path, old: str, new: str) -> None:
    path = place / "recipes/tiny.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_what_is_there_stays_when_nothing_changed(place: Path) -> None:
    first, _ = build(place)
    before = (place / f"out/{NAME}.tar.zst").stat()
    second, said = build(place)
    assert first == second
    assert "packing" not in said
    assert (place / f"out/{NAME}.tar.zst").stat().st_ino == before.st_ino


def test_a_damaged_template_is_built_again(place: Path) -> None:
    first, _ = build(place)
    archive = place / f"out/{NAME}.tar.zst"
    archive.write_bytes(archive.read_bytes()[:-1])
    second, said = build(place)
    assert first == second
    assert "restoring" in said
    (place / f"out/{NAME}.lock").write_text("{}")
    assert "packing" in build(place)[1]


def test_a_build_that_begins_in_the_middle_gives_the_same_bytes(place: Path) -> None:
    first, _ = build(place)
    for old, new, phase in (
        ('"slow"]', '"slow", "three"]', "installing packages"),
        ("/etc/seen", "/etc/other", "customising"),
    ):
        change(place, old, new)
        cached, said = build(place)
        assert re.search(rf"restoring the tree of before.*\n(fetching.*\n)?{phase}", said), said
        assert cached != first
        assert build(place, NAME, "--no-cache", out="again")[0] == cached


def test_the_archive_may_move_on_under_a_kept_tree(place: Path, mirror: Archive) -> None:
    """A later Release file alone makes later times, and no step is done again."""
    first, _ = build(place)
    mirror.date += 86400
    mirror.publish()
    second, said = build(place)
    assert first != second
    assert "installing packages" not in said
    assert build(place, NAME, "--no-cache", out="again")[0] == second


def test_neither_time_nor_place_nor_settings_change_the_bytes(place: Path) -> None:
    first, _ = build(place)
    odd = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "LC_ALL": "tr_TR.UTF-8", "HOME": "/nowhere",
           "VZ_SYSROOT": f"{place}/else/where", "TMPDIR": "/var/tmp", "USER": "someone",
           "DEBIAN_FRONTEND": "readline"}  # fmt: skip
    conf = place / "else/where/etc/vz/vz.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text('BUILD_TMPFS="no"\n')
    script = 'hostname elsewhere; umask 077; exec taskset 1 "$@"'
    words = ["unshare", "--uts", "--", "sh", "-euc", script, "sh", *command(place, out="odd")]
    done = subprocess.run(
        words, env={**os.environ, **odd}, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == first
    lock = Path(f"{NAME}.lock")
    assert (place / "out" / lock).read_bytes() == (place / "odd" / lock).read_bytes()


def test_a_lock_file_brings_the_same_again(place: Path, mirror: Archive) -> None:
    first, _ = build(place)
    shutil.copy(place / f"out/{NAME}.lock", place / "old.lock")
    mirror.add("one", "2", depends="two")
    mirror.date += 86400
    mirror.publish()
    assert build(place)[0] != first
    locked = f"--locked={place}/old.lock"
    assert build(place, NAME, locked, "--no-cache", out="again")[0] == first
    change(place, '"one", ', '"one", "three", ')
    said = run(command(place, NAME, locked), ok=3).stderr
    assert "Unable to locate package three" in said


def test_a_locked_package_that_is_gone_is_named(place: Path, mirror: Archive) -> None:
    build(place)
    shutil.copy(place / f"out/{NAME}.lock", place / "old.lock")
    shutil.rmtree(place / "node")
    (mirror.folder / "two_1_amd64.deb").unlink()
    said = run(command(place, NAME, f"--locked={place}/old.lock", "--no-cache"), ok=3).stderr
    assert "two 1 is gone from the mirror" in said
    run(command(place, OTHER, f"--locked={place}/old.lock"), ok=1)


def test_a_mirror_that_fails_spoils_nothing(
    place: Path, mirror: Archive, stranger: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = build(place)
    mirror.server.faults["InRelease"] = answers(503)
    assert "503  Service Unavailable" in run(command(place), ok=5).stderr
    mirror.server.faults["InRelease"] = alters
    run(command(place), ok=6)
    mirror.server.faults.clear()
    point_apt_there(monkeypatch, place, mirror, stranger.public_key)
    assert "NO_PUBKEY" in run(command(place), ok=6).stderr
    point_apt_there(monkeypatch, place, mirror, mirror.signer.public_key)
    again, said = build(place)
    assert again == first
    assert "packing" not in said


def test_a_lock_names_every_package(place: Path) -> None:
    build(place)
    lock = Lock.read(place / f"out/{NAME}.lock")
    assert [sorted(package.name for package in layer) for layer in lock.resolved.layers] == [
        ["apt", "tiny-base"], ["one", "slow", "two"],
    ]  # fmt: skip
    manifest = json.loads((place / f"out/{NAME}.json").read_text())
    assert manifest["packages"] == {
        f"{package.name}:{package.arch}": package.version for package in lock.resolved.packages
    }


def test_a_template_is_compared_with_itself_built_again(place: Path) -> None:
    build(place)
    again = [VZTMPL, "rebuild", f"--recipes={place}/recipes", f"{place}/out/{NAME}.tar.zst"]
    assert "is identical when built again" in run(again).stdout
    change(place, "umask >> /etc/seen", "echo >> /etc/seen; mkdir -p /srv/new; rm /etc/now")
    said = run(again, ok=1).stdout.splitlines()
    assert said[0].endswith("comes out otherwise")
    assert said[1] == "the recipe is not the one that it was built from"
    assert set(said[3:]) == {
        "files: 2 added, 1 removed, 1 changed", "  - /etc/now", "  + /srv and 1 below",
        "  ~ /etc/seen: content 22 → 18 bytes",
    }  # fmt: skip
    assert names_in(place / "node/var/lib/vztmpl/build") == []
    lock = place / f"out/{NAME}.lock"
    lock.write_text(lock.read_text() + "\n")
    assert "is not the lock file" in run(again, ok=6).stderr


def test_templates_are_built_side_by_side(place: Path) -> None:
    done = run(command(place, NAME, OTHER, "-j2"))
    told = json.loads(done.stdout)
    assert [one["name"] for one in told] == [NAME, OTHER]
    for name in (NAME, OTHER):
        assert f"{name}: packing … done in" in done.stderr
    assert done.stderr.count("bootstrapping with") == 1
    digests = [build(place, name, "--no-cache", out="again")[0] for name in (NAME, OTHER)]
    assert digests == [one["digest"] for one in told]


def test_one_that_fails_does_not_stop_the_others(place: Path) -> None:
    change(place, 'install = ["three"]', 'install = ["nowhere"]')
    done = run(command(place, OTHER, NAME, "-j2"), ok=3)
    assert [one["name"] for one in json.loads(done.stdout)] == [NAME]
    assert f"{OTHER}: resolving packages … failed in" in done.stderr
    assert "error: Unable to locate package nowhere\n" in done.stderr
    assert f"  while building {OTHER}\n" in done.stderr


def test_an_interrupt_ends_all_of_them(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = "case $1 in --version) echo mmdebstrap 1.2.3; exit;; esac"
    fake_program(monkeypatch, place, "mmdebstrap", f"{version}; touch {place}/begun; sleep 61.5")
    # env: a shell that runs the tests in the background has its children ignore ^C
    words = ["env", "--default-signal=INT", *command(place, NAME, OTHER, "-j2")]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        wait_for(place / "begun")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert names_in(place / "node/var/lib/vztmpl/build") == []
    assert not running("sleep\x0061.5")


def test_a_build_killed_in_any_phase_spoils_nothing(place: Path) -> None:
    for phase in ("resolving", "fetching", "bootstrapping", "installing", "customising", "packing"):
        with subprocess.Popen(command(place), stderr=subprocess.PIPE) as process:
            assert process.stderr
            said = b""
            while phase.encode() not in said:
                said += (letter := process.stderr.read(1))
                assert letter, said
            process.kill()
        assert [name for name in names_in(place / "out") if not name.startswith(".")] == []
    after, _ = build(place)
    assert names_in(place / "out") == UNSIGNED
    assert names_in(place / "node/var/lib/vztmpl/build") == []
    assert build(place, NAME, "--no-cache", out="again")[0] == after


def wait_for(path: Path) -> None:
    began = time.monotonic()
    while not path.exists():
        assert time.monotonic() - began < 10
        time.sleep(0.02)


def running(words: str) -> bool:
    found = False
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found |= words.encode() in process.read_bytes()
        except OSError:
            continue
    return found
