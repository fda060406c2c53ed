"""Snapshots, conversions and reinstallations in every layout, and all of them cut short."""

import os
import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import BIN, Host, call, mounted_image
from tests.integration.test_layouts import create, every_layout, root

pytestmark = pytest.mark.root
ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def write(host: Host, text: str) -> None:
    host.vzctl("mount", 101)
    (root(host, 101) / "etc/motd").write_text(text)
    host.vzctl("umount", 101)


def read(host: Host) -> str:
    host.vzctl("mount", 101)
    text = (root(host, 101) / "etc/motd").read_text()
    host.vzctl("umount", 101)
    return text


def take(host: Host, uuid: str, name: str) -> None:
    host.vzctl("snapshot", 101, "--id", uuid, "--name", name)


@every_layout
def test_a_switch_brings_files_and_settings_back(
    host: Host, btrfs: Path, tiny_template: str, layout: str
) -> None:
    create(host, btrfs, 101, layout, "--hostname", "first", template=tiny_template)
    write(host, "one")
    take(host, ONE, "one")
    write(host, "two")
    host.vzctl("set", 101, "--hostname", "second", "--save")
    host.vzctl("mount", 101)
    (root(host, 101) / "bin").unlink()
    host.vzctl("umount", 101)
    take(host, TWO, "two")
    write(host, "three")
    host.vzctl("snapshot-switch", 101, "--id", f"{{{ONE}}}")
    assert read(host) == "one"
    assert "first" in host.vzlist("-aH", "-o", "hostname", 101)
    host.vzctl("snapshot-delete", 101, "--id", ONE)
    host.vzctl("snapshot-switch", 101, "--id", TWO, "--skip-config")
    assert read(host) == "two"
    assert "first" in host.vzlist("-aH", "-o", "hostname", 101)
    host.vzctl("mount", 101)
    assert not (root(host, 101) / "bin").is_symlink()


@every_layout
def test_the_list_and_a_mount_show_what_there_is(
    host: Host, btrfs: Path, tiny_template: str, layout: str
) -> None:
    create(host, btrfs, 101, layout, template=tiny_template)
    write(host, "one")
    take(host, ONE, "the first")
    take(host, TWO, "")
    write(host, "three")
    lines = host.vzctl("snapshot-list", 101).splitlines()
    assert lines[0].split() == ["PARENT_UUID", "C", "UUID", "DATE", "NAME"]
    assert f"{{{ONE}}}" in lines[1]
    assert lines[1].endswith("the first")
    assert lines[2].startswith(f"{{{ONE}}} * {{{TWO}}} 2")
    said = host.vzctl("snapshot-mount", 101, "--id", ONE)
    place = host.sysroot / f"vz/root/101-{ONE}"
    assert str(place) in said
    assert (place / "etc/motd").read_text() == "one"
    with pytest.raises(OSError, match="Read-only"):
        (place / "etc/motd").write_text("other")
    assert host.vzctl("snapshot-list", 101, "-H", "-o", "id,target") == (
        f"{{{ONE}}} {place}\n{{{TWO}}}\n"
    )
    assert host.run("vzctl", "snapshot-delete", 101, "--id", ONE).returncode == 41
    host.vzctl("snapshot-umount", 101, "--id", ONE)
    host.vzctl("snapshot-delete", 101, "--id", ONE)
    assert host.vzctl("snapshot-list", 101, "-H", "-o", "parent_uuid,current,uuid") == (
        f"{'':38} * {{{TWO}}}\n"
    )
    assert read(host) == "three"
    host.vzctl("snapshot-mount", 101, "--id", TWO)  # destroy unmounts it


def test_a_ve_goes_through_all_layouts_and_stays_the_same(host: Host, btrfs: Path) -> None:
    create(host, btrfs, 101, "btrfs")
    host.vzctl("start", 101)
    host.wait_running(101)
    host.inside(
        101,
        "cp /bin/true /root/t; ln /root/t /root/u; chown 42:65534 /root/u;"
        "setcap cap_kill+ep /root/t; rm /etc/issue; mkdir -m 1777 /etc/new;"
        "rm -r /etc/default; mkdir /etc/default",
    )
    look = (
        "getcap /root/t; stat -c %u:%g:%h /root/t; ls /etc/issue 2>&1; ls /etc/default;"
        "find /etc /root /usr /home -printf '%p %m %U %G %l\\n' | sort"
    )
    before = host.inside(101, look)
    assert before.startswith("/root/t cap_kill=ep\n42:65534:2\n")
    host.vzctl("stop", 101)
    for layout in ("overlay", "simfs", "ploop", "btrfs", "ploop", "overlay"):
        host.vzctl("convert", 101, "--layout", layout)
        assert f'VE_LAYOUT="{layout}"' in (host.sysroot / "etc/vz/conf/101.conf").read_text()
    assert [path.name for path in (btrfs / "101").iterdir()] == ["live"]
    host.vzctl("start", 101)
    assert host.wait_running(101) == "running"
    assert host.inside(101, look).splitlines() == before.splitlines()
    host.vzctl("stop", 101)
    host.vzctl("snapshot", 101)
    assert host.run("vzctl", "convert", 101, "--layout", "simfs").returncode == 155


@every_layout
def test_reinstall_keeps_the_old_files_and_the_settings(
    host: Host, btrfs: Path, tiny_template: str, layout: str
) -> None:
    create(
        host,
        btrfs,
        101,
        layout,
        "--ipadd",
        "10.0.0.101",
        "--hostname",
        "web",
        template=tiny_template,
    )
    write(host, "old")
    said = host.vzctl("reinstall", 101)
    uuid = said.partition("{")[2].partition("}")[0]
    assert read(host) == "hello\n"
    assert host.vzlist("-aH", "-o", "ip,hostname,ostemplate", 101).split() == [
        "10.0.0.101", "web", tiny_template,
    ]  # fmt: skip
    host.vzctl("snapshot-switch", 101, "--id", uuid)
    assert read(host) == "old"
    host.vzctl("reinstall", 101, "--skipbackup")
    host.vzctl("snapshot-delete", 101, "--id", uuid)
    assert read(host) == "hello\n"
    assert host.vzctl("snapshot-list", 101, "-H") == ""


def test_running_ves_can_have_snapshots_where_they_are_of_one_moment(
    host: Host, btrfs: Path
) -> None:
    create(host, btrfs, 101, "btrfs")
    create(host, btrfs, 102, "overlay")
    for ctid in (101, 102):
        host.vzctl("start", ctid)
    host.inside(101, "echo one > /etc/motd")
    take(host, ONE, "one")
    host.inside(101, "echo two > /etc/motd")
    refused = host.run("vzctl", "snapshot", 102)
    assert (refused.returncode, "stopped" in refused.stderr) == (32, True), refused.stderr
    assert host.inside(101, "cat /etc/motd") == "two"
    assert "Container was stopped" in host.vzctl("snapshot-switch", 101, "--id", ONE)
    assert read(host) == "one\n"


def test_layers_of_deleted_snapshots_are_joined_and_show_the_same(
    host: Host, tiny_template: str
) -> None:
    host.vzctl("create", 101, "--ostemplate", tiny_template)
    top = root(host, 101)
    steps = (
        "mkdir -p d/e f; echo 1 > d/e/a; echo 1 > d/b; ln d/b d/c; echo 1 > f/x; rm bin",
        "rm -r d/e; rm etc/motd; echo 2 > d/new; rm -r f; mkdir f; echo 2 > f/y",
        "mkdir d/e; echo 3 > d/e/z; mkdir etc/motd; rm d/c; echo 3 > d/c; chmod 700 d",
        "rm -r etc; echo 4 > etc; mkdir bin; touch bin/sh",
    )
    for number, step in enumerate(steps):
        host.vzctl("mount", 101)
        call("sh", "-euc", step, env={}, check=True, cwd=top)
        host.vzctl("umount", 101)
        host.vzctl("snapshot", 101, "--id", f"{number}{ONE[1:]}")
    host.vzctl("mount", 101)
    look = "find . -printf '%p %y %m %n %U %l\\n' | sort; cat d/b d/c f/y d/e/z etc"
    before = call("sh", "-euc", look, env={}, check=True, cwd=top).stdout
    host.vzctl("umount", 101)
    for number in (1, 2, 3):
        host.vzctl("snapshot-delete", 101, "--id", f"{number}{ONE[1:]}")
    kept = host.sysroot / "vz/private/101/snapshots"
    assert len(list(kept.iterdir())) == 4
    host.vzctl("compact", 101)
    assert len(list(kept.iterdir())) == 1
    host.vzctl("mount", 101)
    assert call("sh", "-euc", look, env={}, check=True, cwd=top).stdout == before
    host.vzctl("umount", 101)
    host.vzctl("snapshot-switch", 101, "--id", f"0{ONE[1:]}")
    assert read(host) == "hello\n"


def test_one_more_snapshot_than_the_kernel_takes_is_refused(host: Host, tiny_template: str) -> None:
    host.vzctl("create", 101, "--ostemplate", tiny_template)
    take(host, ONE, "")
    area = host.sysroot / "vz/private/101"
    names = [f"{number:08}{ONE[8:]}" for number in range(60)]
    for name in names:  # what 60 snapshots would leave, without waiting for them
        shutil.copytree(area / "snapshots" / ONE, area / "snapshots" / name, symlinks=True)
    (area / "live/lowers").write_text("".join(f"{name}\n" for name in names))
    refused = host.run("vzctl", "snapshot", 101)
    assert (refused.returncode, "compact" in refused.stderr) == (50, True), refused.stderr
    for name in names:
        (area / "snapshots" / name / "about.json").unlink()
    host.vzctl("compact", 101)
    assert [path.name for path in (area / "snapshots").iterdir()] == [ONE]
    assert read(host) == "hello\n"


def test_an_image_gives_back_what_is_not_used(host: Host, tiny_template: str) -> None:
    host.vzctl(
        "create", 101, "--ostemplate", tiny_template, "--layout", "ploop", "--diskspace", "1G"
    )
    image = host.sysroot / "vz/private/101/live/root.hdd"
    host.disks.mkdir(exist_ok=True)
    place = host.disks / "image"
    place.mkdir()
    call("mount", "-o", "loop,nodiscard", image, place, env={}, check=True)
    (place / "big").write_bytes(b"x" * (50 << 20))
    call("sync", "-f", place, env={}, check=True)
    (place / "big").unlink()
    call("umount", place, env={}, check=True)
    assert image.stat().st_blocks > 50 << 11
    host.vzctl("compact", 101)
    assert image.stat().st_blocks < 10 << 11
    assert read(host) == "hello\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("snapshot", 101, "--id", "mine"), 21, "not a snapshot id"),
        (("snapshot", 101, "--name", "$x"), 21, "plain text"),
        (("snapshot-switch", 101), 20, "--id"),
        (("snapshot-switch", 101, "--id", TWO), 21, "has no snapshot"),
        (("snapshot-delete", 101, "--id", TWO), 21, "has no snapshot"),
        (("snapshot-umount", 101, "--id", ONE), 40, "not mounted"),
        (("snapshot-list", 101, "-o", "colour"), 21, "Unknown field"),
        (("snapshot", 101, "--id", ONE), 156, "already"),
        (("convert", 101, "--layout", "zfs"), 21, "not a layout"),
        (("reinstall", 101, "--ostemplate", "no-1-x86_64"), 91, "no-1-x86_64"),
    ],
)
def test_what_can_not_be_done_is_said(
    host: Host, tiny_template: str, words: tuple[object, ...], code: int, says: str
) -> None:
    host.vzctl("create", 101, "--ostemplate", tiny_template)
    take(host, ONE, "")
    result = host.run("vzctl", *words)
    assert (result.returncode, says in result.stderr) == (code, True), result.stderr


class Killer:
    """Programs on PATH that end vzctl with SIGKILL before or after the nth of them did its work."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._folder = host, folder
        for name in ("cp", "sync", "btrfs", "mkfs.ext4", "e2fsck", "resize2fs"):
            program = folder / name
            program.write_text(_DEADLY.format(folder=folder, name=name))
            program.chmod(0o755)

    def cut_short(self, *words: object) -> list[int]:
        """Run a command once for each program that it runs, and to its end at last."""
        codes: list[int] = []
        for when in ("before", "after"):
            for number in range(1, 30):
                (self._folder / "count").write_text(f"{number} {when}")
                path = f"{self._folder}:{BIN}:{os.environ['PATH']}"
                env = {**self._host.env, "PATH": path}
                codes.append(call("env", f"PATH={path}", "vzctl", *words, env=env).returncode)
                if codes[-1] != -9:
                    break
        return codes


_DEADLY = """#!/bin/sh
read -r left when < {folder}/count
echo $((left - 1)) $when > {folder}/count
[ "$left$when" != 1before ] || {{ kill -9 $PPID; exit; }}
PATH=/usr/sbin:/usr/bin:/sbin:/bin {name} "$@"
status=$?
[ "$left$when" != 1after ] || kill -9 $PPID
exit $status
"""


@every_layout
def test_commands_cut_short_anywhere_need_no_repair(
    host: Host, btrfs: Path, tiny_template: str, tmp_path: Path, layout: str
) -> None:
    killer = Killer(host, tmp_path)
    words = ("--ostemplate", tiny_template, "--private", f"{btrfs}/$VEID")
    assert set(killer.cut_short("create", 101, "--layout", layout, *words)) <= {0, -9, 44}
    write(host, "one")
    assert killer.cut_short("snapshot", 101)[-1] == 0
    assert read(host) == "one"
    take(host, ONE, "")
    write(host, "two")
    assert killer.cut_short("snapshot-switch", 101, "--id", ONE)[-1] == 0
    assert read(host) == "one"
    for uuid in host.vzctl("snapshot-list", 101, "-H", "-o", "uuid").split():
        assert killer.cut_short("snapshot-delete", 101, "--id", uuid)[-1] in (0, 21)
    other = "ploop" if layout == "simfs" else "simfs"
    assert killer.cut_short("convert", 101, "--layout", other)[-1] == 0
    assert read(host) == "one"
    assert killer.cut_short("reinstall", 101, "--skipbackup")[-1] == 0
    assert read(host) == "hello\n"
    assert set(killer.cut_short("destroy", 101)) <= {0, -9, 14}
    assert [path.name for path in btrfs.iterdir() if not path.name.startswith(".base-")] == []


def test_a_mounted_image_has_snapshots_where_blocks_can_be_shared(
    host: Host, tiny_template: str
) -> None:
    with mounted_image(host.disks / "xfs", "mkfs.xfs", "-q") as xfs:
        words = ("--layout", "ploop", "--private", f"{xfs}/$VEID", "--diskspace", "64M")
        host.vzctl("create", 101, "--ostemplate", tiny_template, *words)
        host.vzctl("mount", 101)
        motd = root(host, 101) / "etc/motd"
        motd.write_text("one")
        take(host, ONE, "")
        motd.write_text("two")
        host.vzctl("snapshot-mount", 101, "--id", ONE)
        assert (host.sysroot / f"vz/root/101-{ONE}/etc/motd").read_text() == "one"
        assert motd.read_text() == "two"
        host.vzctl("umount", 101)
        host.vzctl("destroy", 101)
    host.vzctl(
        "create", 101, "--ostemplate", tiny_template, "--layout", "ploop", "--diskspace", "64M"
    )
    host.vzctl("mount", 101)
    refused = host.run("vzctl", "snapshot", 101)
    assert (refused.returncode, "can't share" in refused.stderr) == (32, True), refused.stderr
