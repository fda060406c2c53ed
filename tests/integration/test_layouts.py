"""What every layout has to do, with real VEs; and what some can do beyond it."""

import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import Host

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"
LAYOUTS = ("overlay", "simfs", "btrfs", "ploop")
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.fixture
def options(btrfs: Path) -> "Options":
    return Options(btrfs)


class Options:
    """What to give `create` for a layout."""

    def __init__(self, btrfs: Path) -> None:
        self._btrfs = btrfs

    def of(self, layout: str) -> tuple[str, ...]:
        where = ("--private", f"{self._btrfs}/$VEID") if layout == "btrfs" else ()
        return ("--ostemplate", MINIMAL, "--layout", layout, *where)


def loops() -> str:
    return subprocess.run(
        ["losetup", "--list", "--noheadings"], capture_output=True, text=True
    ).stdout


@every_layout
def test_a_ve_boots_from_every_layout(host: Host, options: Options, layout: str) -> None:
    host.vzctl("create", 101, *options.of(layout), "--diskspace", "2G") if layout in (
        "btrfs",
        "ploop",
    ) else host.vzctl("create", 101, *options.of(layout))
    host.vzctl("start", 101)
    assert host.wait_running(101) == "running"
    assert host.inside(101, "find / -xdev -nouser -o -xdev -nogroup | head -3") == ""
    assert host.inside(101, "stat -c %u:%g:%a / /root /etc/shadow") == "0:0:755\n0:0:700\n0:42:640"
    host.vzctl("stop", 101)
