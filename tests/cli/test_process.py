"""The installed ``vztmpl`` as users run it: exit code, clean stdout, and never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import NAME, Signer, make_template

RECIPE = """\
os = "tiny"
description = "tiny"
bootstrapper = "mmdebstrap"
sets = ["minimal"]
releases = { 1 = "one" }
architectures = { x86_64 = "amd64" }
"""
BUILD = "build tiny-1-x86_64-minimal --recipes recipes --unsigned"


class Machine:
    """A folder to stand in and a sysroot of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, path: str, content: bytes | str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def __call__(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("vztmpl"), *command.split()],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            timeout=30,
            env={**os.environ, "VZ_SYSROOT": str(self.folder / "node")},
        )


@pytest.fixture
def machine(tmp_path: Path, publisher: Signer) -> Machine:
    machine = Machine(tmp_path)
    machine.put("pub.asc", publisher.public_key)
    return machine


@pytest.mark.parametrize(
    ("path", "content", "command", "status"),
    [
        ("x", "", "frobnicate", 2),
        ("x", "", "fetch not_a_name", 2),
        ("x", "", "remove debian-13-x86_64", 3),
        ("x", "", "build debian-99-x86_64-minimal", 3),
        ("recipes/tiny.toml", b"\xff\xfe", BUILD, 1),
        ("recipes/tiny.toml", "os = ", BUILD, 1),
        ("recipes/tiny.toml", "os = " + "[" * 100_000, BUILD, 1),
        ("recipes/tiny.toml", RECIPE + 'include = ["a\\u0000b"]', BUILD, 1),
        ("recipes/tiny.toml", RECIPE + 'include = ["."]', BUILD, 1),
        ("bad.asc", b"\x99\xff\0", "key import bad.asc", 1),
        ("bad.asc", b"\x99\xff\0", "remote add main file:///x --key bad.asc", 1),
        ("x", "", "remote add main http://[::1 --key pub.asc", 2),
        ("a-1-x86_64.tar.zst", "", "verify a-1-x86_64.tar.zst --key pub.asc", 6),
        ("node/etc/vz/remotes.d/main.toml", "url = 1", "fetch a-1-x86_64", 1),
        ("node/etc/vz/remotes.d/main.toml", 'url = "http://[::1"', "fetch a-1-x86_64", 1),
        ("node/etc/vz/vz.conf/file", "", "list", 1),
        ("node/vz/template/cache/a-1-x86_64.json/file", "", "list", 1),
        ("node/vz/template/cache/a-1-x86_64.json", "[" * 100_000, "list", 0),
    ],
)
def test_bad_input_is_an_error_in_words(
    machine: Machine, path: str, content: bytes | str, command: str, status: int
) -> None:
    machine.put(path, content)
    done = machine(command)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    if status:
        assert done.stdout == ""
        assert "error: " in done.stderr.lower()


def test_what_the_other_side_does_has_codes_of_its_own(
    machine: Machine, publisher: Signer, stranger: Signer
) -> None:
    assert machine("remote add down http://127.0.0.1:1 --key pub.asc").returncode == 0
    assert machine("fetch a-1-x86_64").returncode == 5
    make_template(machine.folder, stranger)
    assert machine(f"verify {NAME}.tar.zst --key pub.asc").returncode == 6
    make_template(machine.folder, publisher)
    assert machine(f"verify {NAME}.tar.zst --key pub.asc").returncode == 0


def test_stdout_holds_json_and_nothing_else(machine: Machine) -> None:
    machine("remote add main http://127.0.0.1:1 --key pub.asc")
    for command in ("list", "recipes", "remote list", "key list", "doctor"):
        json.loads(machine(f"{command} --json").stdout)
