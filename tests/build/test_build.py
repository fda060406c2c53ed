"""Whole builds, by the command line, with a bootstrapper that makes a tree of a few programs."""

import json
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.build.debian import Archive
from tests.fakes import Signer, fake_program, names_in
from vztmpl.files import locked
from vztmpl.template import archive
from vztmpl.template.manifest import Manifest
from vztmpl.template.signature import verify_detached

pytestmark = pytest.mark.root

VZTMPL = str(Path(sys.executable).with_name("vztmpl"))
NAME = "tiny-1-x86_64-minimal"
UNSIGNED = [
    f"{NAME}.cdx.json", f"{NAME}.json", f"{NAME}.lock", f"{NAME}.provenance.json",
    f"{NAME}.tar.zst",
]  # fmt: skip
RECIPE = """\
os = "tiny"
description = "Tiny"
bootstrapper = "mmdebstrap"
sets = ["minimal"]
releases = { 1 = "sid" }
architectures = { x86_64 = "amd64" }
metadata = { maintainer = "Ada" }

[[packages]]
install = ["one"]

[[files]]
path = "/etc/deep/motd"
content = "hello"
mode = "0640"

[[scripts]]
at = "final"
run = "cat /etc/deep/motd > /etc/copied"
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mirror: Archive) -> Path:
    assert mirror.server.url
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/tiny.toml").write_text(RECIPE)
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    return tmp_path


@pytest.fixture
def signer(place: Path) -> Signer:
    return Signer.new(place / "node/var/lib/vztmpl/keys", "The Maintainer")


def command(place: Path, *options: str) -> list[str]:
    out, recipes = f"--out={place}/out", f"--recipes={place}/recipes"
    return [VZTMPL, "build", NAME, recipes, out, "--json", *options]


def build(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(place, *options), capture_output=True, text=True, check=False, timeout=60
    )


def test_a_build_gives_a_template_that_says_what_it_is(place: Path, signer: Signer) -> None:
    done = build(place)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    text = Path(told["manifest"]).read_bytes()
    manifest = Manifest.parse(text, "x")
    assert set(told) == {
        "name", "path", "manifest", "signature", "digest", "serial", "sha256", "size_bytes",
        "unpacked_bytes", "lint_warnings",
    }  # fmt: skip
    assert (told["name"], told["digest"]) == (manifest.name, manifest.digest)
    assert manifest.packages == {
        "apt:amd64": "1", "one:amd64": "1", "tiny-base:amd64": "1", "two:amd64": "1"
    }  # fmt: skip
    assert manifest.metadata == {"maintainer": "Ada"}
    assert {"mmdebstrap", "tar", "libzstd", "vztmpl"} <= set(manifest.tools)
    assert manifest.epoch == 1768039200
    signature = Path(told["signature"]).read_bytes()
    assert verify_detached(text, signature, signer.public_key, "x") == signer.fingerprint
    assert archive.sha256_of(Path(told["path"])) == (told["sha256"], told["size_bytes"])
    assert names_in(place / "out") == [
        f"{NAME}.cdx.json", f"{NAME}.json", f"{NAME}.json.asc", f"{NAME}.lock",
        f"{NAME}.provenance.json", f"{NAME}.tar.zst",
    ]  # fmt: skip
    assert "bootstrapping with mmdebstrap … done in" in done.stderr


def test_the_tree_is_customised_and_cleaned(place: Path) -> None:
    told = json.loads(build(place, "--unsigned").stdout)
    tree = place / "unpacked"
    tree.mkdir()
    archive.unpack(Path(told["path"]), tree, told["digest"], told["unpacked_bytes"])
    assert (tree / "etc/copied").read_text() == "hello"
    assert (tree / "etc/deep/motd").stat().st_mode & 0o777 == 0o640
    assert (tree / "etc/machine-id").read_text() == ""
    assert not (tree / "etc/hostname").exists()
    assert names_in(tree / "tmp") == []
    assert names_in(tree / "var/lib/apt/lists") == ["partial"]
    assert (tree / "etc/shadow").read_text() == "root:*:20463:0:99999:7:::\n"
    assert max(path.lstat().st_mtime for path in tree.rglob("*")) <= 1768039200


@pytest.mark.parametrize("tmpfs", ["yes", "no"])
def test_the_same_inputs_give_the_same_template(place: Path, tmpfs: str) -> None:
    (place / "node/etc/vz").mkdir(parents=True)
    first = json.loads(build(place, "--unsigned").stdout)
    time.sleep(1.1)
    (place / "node/etc/vz/vz.conf").write_text(f'BUILD_TMPFS="{tmpfs}"\n')
    second = json.loads(build(place, "--unsigned").stdout)
    assert (first["digest"], first["sha256"]) == (second["digest"], second["sha256"])


def test_what_stands_beside_the_archive_says_how_it_was_made(place: Path) -> None:
    told = json.loads(build(place, "--unsigned").stdout)
    manifest = Manifest.parse(Path(told["manifest"]).read_bytes(), "x")
    beside = {name: (place / "out" / name).read_bytes() for name in manifest.files}
    assert manifest.files == {name: sha256(text).hexdigest() for name, text in beside.items()}
    bom = json.loads(beside[f"{NAME}.cdx.json"])
    assert bom["metadata"]["component"]["hashes"][0]["content"] == manifest.digest
    statement = json.loads(beside[f"{NAME}.provenance.json"])
    assert {one["digest"]["sha256"] for one in statement["subject"]} == {
        manifest.digest, manifest.sha256,
    }  # fmt: skip
    details = statement["predicate"]["runDetails"]
    assert details["byproducts"][0]["digest"]["sha256"] == manifest.files[f"{NAME}.cdx.json"]
    assert details["builder"]["version"] == manifest.tools
    time.sleep(1.1)
    build(place, "--unsigned")
    assert {name: (place / "out" / name).read_bytes() for name in manifest.files} == beside


def test_a_lint_error_stops_a_build_unless_it_is_waived(place: Path) -> None:
    recipe = RECIPE.replace("> /etc/copied", "> /etc/copied; chmod 666 /etc/copied")
    (place / "recipes/tiny.toml").write_text(recipe)
    failed = build(place, "--unsigned")
    assert failed.returncode == 1
    assert "lint found 1 error" in failed.stderr
    assert "  world-writable: /etc/copied (mode 0666, owner 0:0)" in failed.stderr
    assert names_in(place / "out") == []
    waive = '[[waive]]\nrule = "world-writable"\nreason = "a test"\npaths = ["/etc/copied"]\n'
    (place / "recipes/tiny.toml").write_text(f"{recipe}\n{waive}")
    told = json.loads(build(place, "--unsigned").stdout)
    kept = Manifest.parse(Path(told["manifest"]).read_bytes(), "x").lint
    assert kept["waived"] == [
        {"rule": "world-writable", "reason": "a test", "paths": ["/etc/copied"]}
    ]
    assert (kept["errors"], "world-writable" in kept["found"]) == (0, False)


def test_warnings_are_told_and_stop_nothing(place: Path) -> None:
    recipe = RECIPE.replace("> /etc/copied", "> /etc/copied; mkdir /boot; : > /boot/vmlinuz-1")
    (place / "recipes/tiny.toml").write_text(recipe)
    done = build(place, "--unsigned")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert f"lint warnings: 2; `vztmpl lint {told['path']}` shows them" in done.stderr
    found = Manifest.parse(Path(told["manifest"]).read_bytes(), "x").lint["found"]
    assert found == {"kernel": 1, "build-archive": 1}  # the archive of the tests is on this machine


def test_an_unsigned_build_has_no_signature(place: Path, signer: Signer) -> None:
    assert build(place).returncode == 0
    assert json.loads(build(place, "--unsigned").stdout)["signature"] is None
    assert names_in(place / "out") == UNSIGNED
    assert build(place, "--unsigned", f"--sign={signer.fingerprint}").returncode == 2


def test_without_a_key_nothing_begins(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    program = fake_program(monkeypatch, place, "mmdebstrap")
    done = build(place)
    assert done.returncode == 3
    assert "vztmpl key generate" in done.stderr
    assert program.calls == []


def test_a_template_without_recipe_is_not_found(place: Path) -> None:
    (place / "recipes/tiny.toml").write_text(RECIPE.replace('1 = "sid"', '2 = "two"'))
    done = build(place, "--unsigned")
    assert done.returncode == 3
    assert "there is tiny-2-x86_64-minimal" in done.stderr


def test_a_failed_build_leaves_the_template_of_before(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    assert build(place, "--unsigned").returncode == 0
    before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
    fake_program(monkeypatch, place, "mmdebstrap", "echo E: broken mirror; exit 25")
    failed = build(place, "--unsigned")
    assert failed.returncode == 1
    assert "  | E: broken mirror" in failed.stderr
    assert f"  while building {NAME}" in failed.stderr
    assert "failed in" in failed.stderr
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before
    assert names_in(place / "node/var/lib/vztmpl/build") == []


def test_a_script_that_fails_is_named(place: Path) -> None:
    recipe = RECIPE.replace("cat /etc/deep/motd", "cat /etc/none")
    (place / "recipes/tiny.toml").write_text(recipe)
    failed = build(place, "--unsigned")
    assert failed.returncode == 1
    assert f"while running script 1 (final) of {NAME}" in failed.stderr
    assert names_in(place / "out") == []


def test_two_builds_of_one_template_do_not_meet(place: Path) -> None:
    with locked(place / f"node/vz/lock/build-{NAME}.lck"):
        second = build(place, "--unsigned")
    assert second.returncode == 4
    assert f"is locked by process {os.getpid()}" in second.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_build_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, place: Path, number: signal.Signals, status: int
) -> None:
    fake_program(monkeypatch, place, "mmdebstrap", f"touch {place}/begun; exec sleep 61.25")
    began = time.monotonic()
    # env: a shell that runs the tests in the background has its children ignore ^C
    words = ["env", "--default-signal=INT", *command(place, "--unsigned")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
        while not (place / "begun").exists():
            assert time.monotonic() - began < 10
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(10) == status
    assert names_in(place / "out") == names_in(place / "node/var/lib/vztmpl/build") == []
    assert not any(b"sleep\x0061.25" in _cmdline(path) for path in Path("/proc").glob("[0-9]*"))


def test_what_a_killed_build_left_is_removed_by_the_next(place: Path) -> None:
    (place / "out").mkdir()
    (place / f"out/.{NAME}.tar.zst.01234567").touch()
    left = place / f"node/var/lib/vztmpl/build/.{NAME}.01234567"
    left.mkdir(parents=True)
    assert build(place, "--unsigned").returncode == 0
    assert names_in(place / "out") == UNSIGNED
    assert not left.exists()


def _cmdline(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("epoch", ["soon", "-1", "1" * 13, "9" * 30, "9" * 5000])
def test_an_epoch_that_is_no_date_stops_the_build_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, place: Path, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    done = build(place, "--unsigned")
    assert done.returncode == 1
    assert done.stderr.startswith("error: environment: SOURCE_DATE_EPOCH: ")
    assert not (place / "mmdebstrap.log").exists()
    assert not (place / "out").exists()
