import os
from pathlib import Path

import pytest

from vztmpl.errors import VEError
from vztmpl.ve import cgroup
from vztmpl.ve.cgroup import Group, Hierarchies
from vztmpl.ve.config import VEConfig

LINE = "30 25 0:26 / {} rw,nosuid - {} cgroup {}\n"
V2 = LINE.format("/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")
HYBRID = (
    LINE.format("/sys/fs/cgroup/unified", "cgroup2", "rw")
    + LINE.format("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
    + LINE.format("/sys/fs/cgroup/memory", "cgroup", "rw,memory")
)


def ve(**limits: tuple[int, int]) -> VEConfig:
    return VEConfig(
        ctid=101, private=Path("/p"), root=Path("/r"), hostname="", name="", description="",
        ostemplate="", addresses=(), nameservers=(), search_domains=(), first_id=1 << 29,
        onboot="", disabled=False, beancounters=limits, vm_overcommit=0, cpuunits=3000,
        cpulimit=150, cpus=0, cpumask="", nodemask="", ioprio=None, iolimit=0, iopslimit=0,
        stop_timeout_seconds=120,
    )  # fmt: skip


def test_both_kinds_of_host_are_told_apart() -> None:
    unified, hybrid = cgroup.hierarchies(V2), cgroup.hierarchies(HYBRID)
    assert unified == Hierarchies(Path("/sys/fs/cgroup"), {})
    assert unified.unified
    assert not hybrid.unified
    assert hybrid.v2 == Path("/sys/fs/cgroup/unified")
    assert hybrid.v1["cpuacct"] == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert Group(hybrid, "vz/7").folder("memory") == Path("/sys/fs/cgroup/memory/vz/7")
    assert Group(unified, "vz/7").folder("memory") == Path("/sys/fs/cgroup/vz/7")


def test_a_host_without_cgroup2_is_told_what_to_mount() -> None:
    with pytest.raises(VEError, match="no cgroup2") as caught:
        cgroup.hierarchies(LINE.format("/sys/fs/cgroup/memory", "cgroup", "rw,memory"))
    assert "mount -t cgroup2" in caught.value.hint


def test_the_groups_above_a_ve_pass_the_controllers_on(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "vz"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
        (folder / "cgroup.subtree_control").write_text("memory pids\n")
    group = Group(Hierarchies(tmp_path, {}), "vz/101")
    group.v2.mkdir()
    for name in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        (group.v2 / name).touch()
    cgroup.delegate(group, os.getuid())
    for folder in (tmp_path, tmp_path / "vz"):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpu +cpuset +io"


def test_no_controller_is_switched_on_where_they_are_version_1s(tmp_path: Path) -> None:
    (tmp_path / "vz/101").mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    for name in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
        (tmp_path / "vz/101" / name).touch()
    cgroup.delegate(Group(Hierarchies(tmp_path, {"memory": tmp_path}), "vz/101"), os.getuid())
    assert not (tmp_path / "cgroup.subtree_control").exists()
