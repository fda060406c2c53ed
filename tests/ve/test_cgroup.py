from pathlib import Path

import pytest

from vztmpl.errors import VEError
from vztmpl.ve import cgroup, resources
from vztmpl.ve.cgroup import Group, Hierarchies
from vztmpl.ve.config import VEConfig
from vztmpl.ve.resources import Reading
from vztmpl.ve.units import UNLIMITED

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
        onboot="", disabled=False, beancounters=limits, cpuunits=3000, cpulimit=150,
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


def test_limits_on_version_2(tmp_path: Path) -> None:
    group = Group(Hierarchies(tmp_path, {}), "vz/101")
    group.v2.mkdir(parents=True)
    resources.apply(group, ve(physpages=(0, 256), swappages=(0, 0), numproc=(9, 9)))
    assert {path.name: path.read_text() for path in group.v2.iterdir()} == {
        "memory.max": "1048576",
        "memory.swap.max": "0",
        "pids.max": "9",
        "cpu.weight": "300",
        "cpu.max": "150000 100000",
    }


def test_limits_on_version_1_lift_the_sum_while_the_memory_moves() -> None:
    written = resources.settings(ve(physpages=(0, 256), swappages=(0, 256)), unified=False)
    memory = [(each.file, each.value) for each in written if each.controller == "memory"]
    assert memory == [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", "1048576"),
        ("memory.memsw.limit_in_bytes", "2097152"),
    ]
    values = {each.file: each.value for each in written}
    assert (values["pids.max"], values["cpu.shares"], values["cpu.cfs_quota_us"]) == (
        "max",
        "3000",
        "150000",
    )


def test_no_limits_are_written_as_none() -> None:
    values = {each.file: each.value for each in resources.settings(ve(), unified=True)}
    assert (values["memory.max"], values["memory.swap.max"], values["pids.max"]) == ("max",) * 3
    big = resources.settings(ve(physpages=(0, UNLIMITED - 1)), unified=True)
    assert next(each.value for each in big if each.file == "memory.max") == "max"


def test_a_missing_controller_is_said_with_the_parameter(tmp_path: Path) -> None:
    group = Group(Hierarchies(tmp_path, {}), "vz/101")
    with pytest.raises(VEError, match="can't set physpages"):
        resources.apply(group, ve(physpages=(0, 256)))


def test_readings_are_the_kernels_own(tmp_path: Path) -> None:
    group = Group(Hierarchies(tmp_path, {}), "vz/101")
    group.v2.mkdir(parents=True)
    for name, text in (
        ("memory.current", "8192"),
        ("memory.peak", "16384"),
        ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\n"),
        ("pids.current", "3"),
    ):
        (group.v2 / name).write_text(text)
    assert resources.reading(group, "physpages") == Reading(2, 4, 7)
    assert resources.reading(group, "numproc") == Reading(3, None, None)
