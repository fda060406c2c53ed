from pathlib import Path

import pytest

from tests.fakes import fake_program
from vztmpl.cli.vztmpl import checks

UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
VERSION_1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
"""
HYBRID = VERSION_1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "ok", "found"),
    [
        (UNIFIED, True, "version 2 at /sys/fs/cgroup"),
        (HYBRID, True, "hybrid: version 1, and version 2 at /sys/fs/cgroup/unified"),
        (VERSION_1, False, "version 1 only"),
        ("", False, "not mounted"),
    ],
)
def test_the_mode_of_cgroups_is_seen(mountinfo: str, ok: bool, found: str) -> None:
    check = checks.cgroups(mountinfo)
    assert (check.ok, check.found) == (ok, found)


def test_version_2_is_mounted_beside_version_1() -> None:
    assert checks.cgroups(VERSION_1).cure.endswith(
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
    )
    assert checks.cgroups("").cure.endswith("mount -t cgroup2 cgroup2 /sys/fs/cgroup")


def test_controllers_are_found_in_either_version() -> None:
    offered = {"/sys/fs/cgroup/unified": "hugetlb pids"}
    found = {check.name: check.found for check in checks.controllers(HYBRID, offered)}
    assert found == {
        "controller memory": "at /sys/fs/cgroup/memory",
        "controller pids": "at /sys/fs/cgroup/unified",
        "controller cpu": "at /sys/fs/cgroup/cpu,cpuacct",
    }
    lacking = [
        check.name
        for check in checks.controllers(UNIFIED, {"/sys/fs/cgroup": "cpu"})
        if not check.ok
    ]
    assert lacking == ["controller memory", "controller pids"]


@pytest.mark.parametrize(
    ("release", "ok"),
    [
        ("6.18.44-x", True),
        ("5.19", True),
        ("5.19.0-rc1", True),
        ("5.18.9", False),
        ("4.19.1", False),
        ("odd", False),
    ],
)
def test_a_kernel_that_is_too_old_is_named(release: str, ok: bool) -> None:
    assert checks.kernel(release).ok is ok


def test_user_namespaces_may_be_switched_off() -> None:
    assert checks.user_namespaces("1000\n").ok
    assert not checks.user_namespaces("0\n").ok
    assert not checks.user_namespaces("").ok


def test_overlay_may_be_in_the_kernel_or_a_module() -> None:
    assert checks.overlay("nodev\tsysfs\nnodev\toverlay\n", "").ok
    assert checks.overlay("", "kernel/fs/overlayfs/overlay.ko.xz:\n").ok
    assert not checks.overlay("nodev\tsysfs\n", "kernel/fs/ext4/ext4.ko:\n").ok


def test_one_of_two_runtimes_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lacking = checks.program("crun or runc", "crun")
    assert (lacking.ok, lacking.cure) == (False, "apt-get install crun")
    fake_program(monkeypatch, tmp_path, "runc")
    assert checks.program("crun or runc", "crun").found == str(tmp_path / "runc")


def test_room_is_looked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    assert checks.free_disk(tmp_path / "not/yet/there").found.endswith(f"at {tmp_path}")


def test_only_root_is_root() -> None:
    assert checks.root(0).ok
    assert not checks.root(1000).ok
