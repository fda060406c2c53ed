"""What every layout has to do, with real VEs; and what some can do beyond it."""

from pathlib import Path

import pytest

from tests.integration.conftest import Host, left_behind

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"
LAYOUTS = ("overlay", "simfs", "btrfs", "ploop")
BOUNDED = ("btrfs", "ploop")
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_bounded = pytest.mark.parametrize("layout", BOUNDED)


def create(host: Host, btrfs: Path, ctid: int, layout: str, *options: str) -> None:
    host.vzctl("create", ctid, "--ostemplate", MINIMAL, *of(btrfs, layout), *options)


def of(btrfs: Path, layout: str) -> tuple[str, ...]:
    """The options that choose a layout."""
    where = ("--private", f"{btrfs}/$VEID") if layout == "btrfs" else ()
    return ("--layout", layout, *where)


def root(host: Host, ctid: int) -> Path:
    return host.sysroot / f"vz/root/{ctid}"


@every_layout
def test_a_ve_boots_and_owns_its_files(host: Host, btrfs: Path, layout: str) -> None:
    create(host, btrfs, 101, layout)
    host.vzctl("start", 101)
    assert host.wait_running(101) == "running"
    assert host.inside(101, "find / -xdev '(' -nouser -o -nogroup ')' | head -3") == ""
    owners = host.inside(101, "stat -c %u:%g:%a / /etc/shadow /usr/bin/passwd").split()
    assert owners == ["0:0:755", "0:42:640", "0:0:4755"]
    host.inside(101, "cp /bin/true /root/t; setcap cap_net_raw+ep /root/t; ls -l /root > /root/l")
    host.vzctl("restart", 101)
    assert host.inside(101, "getcap /root/t") == "/root/t cap_net_raw=ep"
    assert "root root" in host.inside(101, "cat /root/l")
    host.vzctl("stop", 101)
    host.vzctl("destroy", 101)
    assert not (host.sysroot / "vz/private/101").exists()
    assert not (btrfs / "101").exists()
    assert left_behind(host) == []


@every_layout
def test_two_ves_of_one_template_do_not_see_each_others_writes(
    host: Host, btrfs: Path, layout: str
) -> None:
    for ctid in (101, 102):
        create(host, btrfs, ctid, layout)
        host.vzctl("mount", ctid)
        (root(host, ctid) / "etc/issue").write_text(str(ctid))
    assert [(root(host, ctid) / "etc/issue").read_text() for ctid in (101, 102)] == ["101", "102"]
    create(host, btrfs, 103, layout)
    host.vzctl("mount", 103)
    assert "Debian" in (root(host, 103) / "etc/issue").read_text()
    assert (root(host, 101) / "root").stat().st_uid != (root(host, 102) / "root").stat().st_uid
    for ctid in (101, 102):
        host.vzctl("umount", ctid)
        assert list(root(host, ctid).iterdir()) == []
