"""Snapshots, conversions and reinstallations of real VEs, in every layout."""

from pathlib import Path

import pytest

from tests.integration.conftest import Host
from tests.integration.test_layouts import create, every_layout, root

pytestmark = pytest.mark.root
ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def write(host: Host, ctid: int, text: str) -> None:
    host.vzctl("mount", ctid)
    (root(host, ctid) / "etc/issue").write_text(text)
    host.vzctl("umount", ctid)


def read(host: Host, ctid: int) -> str:
    host.vzctl("mount", ctid)
    text = (root(host, ctid) / "etc/issue").read_text()
    host.vzctl("umount", ctid)
    return text


def take(host: Host, uuid: str, name: str) -> None:
    host.vzctl("snapshot", 101, "--id", uuid, "--name", name)


@every_layout
def test_a_switch_brings_files_and_settings_back(host: Host, btrfs: Path, layout: str) -> None:
    create(host, btrfs, 101, layout, "--hostname", "first")
    write(host, 101, "one")
    take(host, ONE, "one")
    write(host, 101, "two")
    host.vzctl("set", 101, "--hostname", "second", "--save")
    host.vzctl("mount", 101)
    (root(host, 101) / "etc/os-release").unlink()
    host.vzctl("umount", 101)
    take(host, TWO, "two")
    write(host, 101, "three")
    host.vzctl("snapshot-switch", 101, "--id", f"{{{ONE}}}")
    assert read(host, 101) == "one"
    assert "first" in host.vzlist("-aH", "-o", "hostname", 101)
    host.vzctl("snapshot-delete", 101, "--id", ONE)
    host.vzctl("snapshot-switch", 101, "--id", TWO, "--skip-config")
    assert read(host, 101) == "two"
    assert "first" in host.vzlist("-aH", "-o", "hostname", 101)
    host.vzctl("mount", 101)
    assert not (root(host, 101) / "etc/os-release").is_symlink()


@every_layout
def test_the_list_and_a_mount_show_what_there_is(host: Host, btrfs: Path, layout: str) -> None:
    create(host, btrfs, 101, layout)
    write(host, 101, "one")
    take(host, ONE, "the first")
    take(host, TWO, "")
    write(host, 101, "three")
    lines = host.vzctl("snapshot-list", 101).splitlines()
    assert lines[0].split() == ["PARENT_UUID", "C", "UUID", "DATE", "NAME"]
    assert f"{{{ONE}}}" in lines[1]
    assert lines[1].endswith("the first")
    assert lines[2].startswith(f"{{{ONE}}} * {{{TWO}}} 2")
    said = host.vzctl("snapshot-mount", 101, "--id", ONE)
    place = host.sysroot / f"vz/root/101-{ONE}"
    assert str(place) in said
    assert (place / "etc/issue").read_text() == "one"
    with pytest.raises(OSError, match="Read-only"):
        (place / "etc/issue").write_text("other")
    assert host.vzctl("snapshot-list", 101, "-H", "-o", "id,target") == (
        f"{{{ONE}}} {place}\n{{{TWO}}}\n"
    )
    assert host.run("vzctl", "snapshot-delete", 101, "--id", ONE).returncode == 41
    host.vzctl("snapshot-umount", 101, "--id", ONE)
    host.vzctl("snapshot-delete", 101, "--id", ONE)
    assert host.vzctl("snapshot-list", 101, "-H", "-o", "parent_uuid,current,uuid") == (
        f"{'':38} * {{{TWO}}}\n"
    )
    assert read(host, 101) == "three"
    host.vzctl("snapshot-mount", 101, "--id", TWO)  # destroy unmounts it


def test_a_ve_goes_through_all_layouts_and_stays_the_same(host: Host, btrfs: Path) -> None:
    create(host, btrfs, 101, "btrfs")
    host.vzctl("start", 101)
    host.inside(
        101,
        "cp /bin/true /root/t; setcap cap_net_raw+ep /root/t; rm /etc/issue; ln /root/t /root/u;"
        "chown 42:65534 /root/u; mkdir /etc/new; rm -r /etc/default; mkdir /etc/default",
    )
    look = (
        "getcap /root/t; stat -c %u:%g:%h /root/t; ls /etc/issue 2>&1; ls /etc/default;"
        "find /etc /root /usr /home -printf '%p %m %U %G %l\\n' | sort | md5sum"
    )
    before = host.inside(101, look)
    assert "42:65534:2" in before
    host.vzctl("stop", 101)
    for layout in ("overlay", "simfs", "ploop", "btrfs", "ploop", "overlay"):
        host.vzctl("convert", 101, "--layout", layout)
        assert f'VE_LAYOUT="{layout}"' in (host.sysroot / "etc/vz/conf/101.conf").read_text()
    assert [path.name for path in (btrfs / "101").iterdir()] == ["live"]
    host.vzctl("start", 101)
    assert host.wait_running(101) == "running"
    assert host.inside(101, look) == before
    host.vzctl("stop", 101)
    host.vzctl("snapshot", 101)
    assert host.run("vzctl", "convert", 101, "--layout", "simfs").returncode == 155


@every_layout
def test_reinstall_keeps_the_old_files_and_the_settings(
    host: Host, btrfs: Path, layout: str
) -> None:
    create(host, btrfs, 101, layout, "--ipadd", "10.0.0.101", "--hostname", "web")
    write(host, 101, "old")
    said = host.vzctl("reinstall", 101, "--ostemplate", "debian-13-x86_64-minimal")
    uuid = said.partition("{")[2].partition("}")[0]
    assert "Debian" in read(host, 101)
    assert host.vzlist("-aH", "-o", "ip,hostname,ostemplate", 101).split() == [
        "10.0.0.101", "web", "debian-13-x86_64-minimal",
    ]  # fmt: skip
    host.vzctl("snapshot-switch", 101, "--id", uuid)
    assert read(host, 101) == "old"
    host.vzctl("reinstall", 101, "--skipbackup")
    host.vzctl("snapshot-delete", 101, "--id", uuid)
    assert "Debian" in read(host, 101)
    assert host.vzctl("snapshot-list", 101, "-H") == ""
