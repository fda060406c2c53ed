"""Builds by a user who is not root, in a user namespace."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.build.bench import KINDS, Bench, Publisher
from tests.fakes import fake_program
from vztmpl.cli.vztmpl.namespace import command

pytestmark = pytest.mark.root

USER = 23456
NAME = "tiny-1-x86_64-minimal"
# Modules are imported before the user changes: the checkout may be closed to others.
BUILD = """
import os, sys
import vztmpl.build.builder, vztmpl.cli.progress, vztmpl.cli.vztmpl.build
from vztmpl import kernel
from vztmpl.cli.vztmpl import main
if sys.argv[1] == "plain":
    os.setgroups([]); os.setresgid(*[{user}] * 3); os.setresuid(*[{user}] * 3)
    kernel.unshare(kernel.CLONE_NEWUSER)
    print("ready", flush=True); sys.stdin.readline()
    os.setresgid(0, 0, 0); os.setresuid(0, 0, 0)
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the user owns, under a path that is open to all."""
    with tempfile.TemporaryDirectory(prefix="vztmpl-test-", dir="/var/tmp") as folder:
        yield Path(folder)


def build(who: str, home: Path) -> dict[str, str]:
    place = home / who
    place.mkdir()
    shutil.copytree(home / "recipes", place / "recipes")
    for path in (home, place, place / "recipes", *(place / "recipes").iterdir()):
        os.chown(path, USER, USER)
    words = ["build", NAME, "--unsigned", "--json", f"--recipes={place}/recipes"]
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD.format(user=USER), who, *words, f"--out={place}/out"],
        env={**os.environ, "VZ_SYSROOT": f"{place}/node"}, cwd=place, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    if who == "plain":
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{kind}").write_text(f"0 {USER} 1\n1 300000 65535\n")
    said, noise = process.communicate("go\n", timeout=120)
    assert process.returncode == 0, noise
    told: dict[str, str] = json.loads(said)
    return told


def test_a_plain_user_builds_the_same_bytes(home: Path, published: Publisher) -> None:
    (home / "recipes").mkdir()
    shutil.copy(published.key, home / "recipes")
    bench = Bench("mmdebstrap", KINDS["mmdebstrap"], published, home / "recipes")
    more = '[[files]]\npath = "/etc/secret"\ncontent = "x"\nmode = "0640"\nowner = "_apt"\n'
    bench.recipe(more, key=Path(published.key.name))
    plain, root = build("plain", home), build("root", home)
    assert plain["digest"] == root["digest"]
    assert Path(plain["path"]).stat().st_uid == USER


def test_the_command_begins_again_in_a_namespace() -> None:
    assert command(["vztmpl", "build", "x"])[-4:] == ["--", "vztmpl", "build", "x"]


@pytest.mark.parametrize("sysroot", ["", "/var/tmp/vz"])
def test_a_plain_user_is_told_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sysroot: str
) -> None:
    monkeypatch.setenv("VZ_SYSROOT", sysroot)
    monkeypatch.setenv("PATH", str(tmp_path))
    fake_program(monkeypatch, tmp_path, "newuidmap" if not sysroot else "other")
    code = (
        "import os, sys; import vztmpl.cli.vztmpl.build; from vztmpl.cli.vztmpl import main\n"
        f"os.setuid({USER}); sys.exit(main(['build', 'debian-13-x86_64-minimal', '--unsigned']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: only root can build here\nhint: be root; or apt-get")
