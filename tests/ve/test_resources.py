"""What is written into the groups of a VE, with a folder that stands for the cgroup tree."""

from pathlib import Path

import pytest

from tests.ve.test_cgroup import ve
from vztmpl.errors import VEError
from vztmpl.ve import beancounters, blkio, cpu, memory, resources
from vztmpl.ve.cgroup import Group, Hierarchies, Setting
from vztmpl.ve.config import VEConfig
from vztmpl.ve.readings import Place
from vztmpl.ve.units import UNLIMITED

MIB = 1 << 20


def place(folder: Path, *, unified: bool = True) -> Place:
    names = ("memory", "pids", "cpu", "cpuset")
    hierarchies = Hierarchies(folder, {} if unified else {name: folder / name for name in names})
    group = Group(hierarchies, "vz/101")
    for each in {group.v2, *(group.folder(name) for name in names)}:
        each.mkdir(parents=True)
    (group.v2 / "memory.swap.max").touch()
    return Place(group, 0, folder)


def written(where: Place, controller: str = "memory") -> dict[str, str]:
    return {
        path.name: path.read_text().strip() for path in where.group.folder(controller).iterdir()
    }


def start(where: Place, config: VEConfig) -> list[str]:
    said: list[str] = []
    resources.put_in_force(where, config, said.append)
    return said


def values(settings: list[Setting]) -> list[tuple[str, str]]:
    return [(each.file, each.value) for each in settings]


def test_limits_on_version_2(tmp_path: Path) -> None:
    where = place(tmp_path)
    assert start(where, ve(physpages=(0, 256), swappages=(0, 0), numproc=(9, 9))) == []
    assert written(where) == {
        "memory.max": "1048576",
        "memory.high": "max",
        "memory.swap.max": "0",
        "pids.max": "9",
        "cpu.weight": "300",
        "cpu.max": "150000 100000",
    }


def test_what_is_not_limited_is_not_touched(tmp_path: Path) -> None:
    where = place(tmp_path)
    start(where, ve()._replace(cpulimit=0))
    assert written(where) == {"cpu.weight": "300", "memory.swap.max": ""}


def test_a_limit_that_is_taken_back_is_lifted(tmp_path: Path) -> None:
    where = place(tmp_path)
    bounded = ve(physpages=(0, 256), vmguarpages=(16, UNLIMITED))._replace(cpus=1)
    start(where, bounded._replace(cpus=0))
    resources.change(where, ve()._replace(cpulimit=0), bounded._replace(cpus=0), pytest.fail)
    assert written(where) == {
        "memory.max": "max",
        "memory.high": "max",
        "memory.swap.max": "max",
        "memory.low": "0",
        "memory.min": "0",
        "cpu.weight": "300",
        "cpu.max": "max 100000",
    }


def test_a_kernel_that_does_not_account_swap_bounds_the_rest(tmp_path: Path) -> None:
    for version in (True, False):
        where = place(tmp_path / str(version), unified=version)
        (where.group.v2 / "memory.swap.max").unlink()
        said = start(where, ve(physpages=(0, 256), swappages=(0, 0)))
        assert ["swapaccount=1" in line for line in said][-1]
        file = "memory.max" if version else "memory.limit_in_bytes"
        assert written(where)[file] == "1048576"


def test_limits_on_version_1_lift_the_sum_while_the_memory_moves() -> None:
    given = ve(physpages=(0, 256), swappages=(0, 256)).beancounters
    assert values(memory.limits(given, unified=False)) == [
        ("memory.memsw.limit_in_bytes", "-1"),
        ("memory.limit_in_bytes", "1048576"),
        ("memory.memsw.limit_in_bytes", "2097152"),
    ]


def test_version_1_has_its_own_files_for_the_rest(tmp_path: Path) -> None:
    where = place(tmp_path, unified=False)
    start(where, ve(vmguarpages=(256, UNLIMITED), numproc=(9, 9)))
    assert written(where) == {"memory.soft_limit_in_bytes": "1048576"}
    assert written(where, "pids") == {"pids.max": "9"}
    assert written(where, "cpu") == {
        "cpu.shares": "3000",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "150000",
    }


def test_tcp_buffers_are_bounded_together_on_version_1() -> None:
    given = {"tcpsndbuf": (1, 4 * MIB), "tcprcvbuf": (1, 2 * MIB)}
    tcp = [("memory.kmem.tcp.limit_in_bytes", str(6 * MIB))]
    assert values(memory.tcp_buffers(given, unified=False)) == tcp
    assert memory.tcp_buffers(given, unified=True) == []


def test_without_ram_privvmpages_bound_the_memory() -> None:
    given = {"privvmpages": (256, 512)}
    assert values(memory.limits(given, unified=True)) == [
        ("memory.max", str(2 * MIB)),
        ("memory.high", str(MIB)),
        ("memory.swap.max", "0"),
    ]
    assert values(memory.limits(given, unified=False))[-1][1] == str(2 * MIB)


def test_guarantees_protect_memory_and_add_up_in_the_parent(tmp_path: Path) -> None:
    where = place(tmp_path)
    other = where.group.v2.parent / "102"
    other.mkdir()
    (other / "memory.low").write_text("4096\n")
    start(where, ve(vmguarpages=(2, UNLIMITED), oomguarpages=(1, UNLIMITED)))
    assert written(where)["memory.low"] == "8192"
    assert written(where)["memory.min"] == "4096"
    assert (where.group.v2.parent / "memory.low").read_text() == "12288"
    assert (where.group.v2.parent / "memory.min").read_text() == "4096"


def test_no_limits_are_written_as_none() -> None:
    big = {"physpages": (0, UNLIMITED - 1)}
    assert values(memory.limits(big, unified=True))[0] == ("memory.max", "max")
    assert {value for _, value in values(memory.limits({}, unified=False))} == {"-1"}


def test_a_missing_controller_is_said_with_the_parameter(tmp_path: Path) -> None:
    where = Place(Group(Hierarchies(tmp_path, {}), "vz/101"), 0, tmp_path)
    with pytest.raises(VEError, match="can't set physpages"):
        start(where, ve(physpages=(0, 256)))


@pytest.mark.parametrize(
    ("units", "weight", "shares"),
    [(8, "1", "8"), (1000, "100", "1000"), (500_000, "10000", "262144")],
)
def test_units_stay_within_what_the_kernel_takes(units: int, weight: str, shares: str) -> None:
    assert cpu.weight(units, unified=True)[0].value == weight
    assert cpu.weight(units, unified=False)[0].value == shares


@pytest.mark.parametrize(
    ("limit", "cpus", "quota"),
    [(0, 0, "max"), (150, 1, "100000"), (50, 2, "50000"), (0, 2, "200000")],
)
def test_the_quota_is_the_lesser_of_cpulimit_and_cpus(limit: int, cpus: int, quota: str) -> None:
    config = ve()._replace(cpulimit=limit, cpus=cpus)
    assert cpu.quota(config, unified=True)[0].value == f"{quota} 100000"
    assert cpu.quota(config, unified=False)[1].value == quota.replace("max", "-1")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A sysfs with two nodes of four CPUs."""
    for path, text in (
        ("cpu/online", "0-7"),
        ("node/online", "0-1"),
        ("node/node0/cpulist", "0-1,4-5"),
        ("node/node1/cpulist", "2-3,6-7"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("cpus", "cpumask", "nodemask", "found"),
    [
        (0, "", "", ("0-7", "0-1")),
        (0, "1-2,5", "", ("1-2,5", "0-1")),
        (0, "all", "1", ("0-7", "1")),
        (0, "auto", "1", ("2-3,6-7", "1")),
        (2, "", "", ("2-3", "0-1")),  # VE 101 begins at CPU 202 modulo 8
        (3, "0-3", "", ("0-1,3", "0-1")),
        (9, "0-3", "", ("0-3", "0-1")),
    ],
)
def test_masks_become_sets(
    system: Path, cpus: int, cpumask: str, nodemask: str, found: tuple[str, str]
) -> None:
    config = ve()._replace(cpus=cpus, cpumask=cpumask, nodemask=nodemask)
    cpu.check(config, system)
    assert tuple(each.value for each in cpu.own_set(config, system)) == found


@pytest.mark.parametrize(
    ("cpumask", "nodemask", "problem"),
    [
        ("", "0", "nodemask needs cpumask"),
        ("auto", "", "cpumask auto needs nodemask"),
        ("6-9", "", "this host has no cpu 8-9"),
        ("3-1", "", "'3-1' names no cpu"),
        ("auto", "2", "this host has no node 2"),
    ],
)
def test_masks_that_make_no_sense_are_refused(
    system: Path, cpumask: str, nodemask: str, problem: str
) -> None:
    with pytest.raises(VEError, match=problem):
        cpu.check(ve()._replace(cpumask=cpumask, nodemask=nodemask), system)


def disk(folder: Path, scheduler: str) -> blkio.Disk:
    (folder / "queue").mkdir()
    (folder / "queue/scheduler").write_text(scheduler)
    return blkio.Disk("254:0", folder)


def test_the_disk_is_bounded_by_both_versions(tmp_path: Path) -> None:
    config = ve()._replace(ioprio=7, iolimit=5 * MIB, iopslimit=100)
    where = disk(tmp_path, "none [bfq]")
    assert values(blkio.settings(config, where, unified=True)) == [
        ("io.bfq.weight", "640"),
        ("io.max", "254:0 rbps=5242880 wbps=5242880 riops=100 wiops=100"),
    ]
    assert values(blkio.settings(config, where, unified=False)) == [
        ("blkio.bfq.weight", "640"),
        ("blkio.throttle.read_bps_device", "254:0 5242880"),
        ("blkio.throttle.write_bps_device", "254:0 5242880"),
        ("blkio.throttle.read_iops_device", "254:0 100"),
        ("blkio.throttle.write_iops_device", "254:0 100"),
    ]


def test_a_disk_without_limits_is_said_to_have_none(tmp_path: Path) -> None:
    where = disk(tmp_path, "[mq-deadline] bfq")
    assert values(blkio.settings(ve(), where, unified=True)) == [
        ("io.max", "254:0 rbps=max wbps=max riops=max wiops=max")
    ]


def test_a_host_without_a_disk_controller_refuses(tmp_path: Path) -> None:
    config = ve()._replace(iolimit=MIB, private=tmp_path)
    for there in (Hierarchies(tmp_path, {}), Hierarchies(tmp_path, {"memory": tmp_path})):
        with pytest.raises(VEError, match="no controller for disks") as caught:
            blkio.disk_of(config, there)
        assert caught.value.vz_code == 148


def test_a_file_system_without_a_disk_refuses() -> None:
    config = ve()._replace(iolimit=MIB, private=Path("/proc"))
    with pytest.raises(VEError, match="/proc is on no disk"):
        blkio.disk_of(config, Hierarchies(Path("/"), {"memory": Path("/"), "blkio": Path("/")}))


def test_what_bounds_nothing_is_known() -> None:
    given = {name: (10, 10) for name in beancounters.BY_NAME}
    nothing = ["kmemsize", "numflock", "othersockbuf", "dgramrcvbuf", "dcachesize", "numiptent"]
    nothing += ["avnumproc", "privvmpages"]
    assert set(beancounters.not_enforced(given, given, unified=True)) == set(nothing)
    on_v1 = beancounters.not_enforced(given, given, unified=False)
    assert set(on_v1) == {*nothing, "oomguarpages"}
    assert all(on_v1.values())


def test_swap_alone_bounds_nothing_on_version_1() -> None:
    given = {"swappages": (0, 10), "vmguarpages": (0, UNLIMITED)}
    assert beancounters.not_enforced(given, given, unified=True) == {}
    assert list(beancounters.not_enforced(given, given, unified=False)) == ["swappages"]


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("privvmpages", (225, 225)),
        ("vmguarpages", (150, UNLIMITED)),
        ("oomguarpages", (100, UNLIMITED)),
        ("lockedpages", (100, 100)),
        ("numproc", (7, 9)),
        ("numfile", (UNLIMITED, UNLIMITED)),
    ],
)
def test_vswap_fills_in_what_follows_from_the_memory(name: str, bounds: tuple[int, int]) -> None:
    given = {"physpages": (0, 100), "swappages": (0, 50), "numproc": (7, 9)}
    assert beancounters.bounds(given, name, 1.5) == bounds


def test_without_a_limit_of_memory_nothing_is_filled_in() -> None:
    assert beancounters.bounds({}, "privvmpages", 1.5) == (UNLIMITED, UNLIMITED)
    assert beancounters.bounds({}, "vmguarpages", 0) == (0, UNLIMITED)


def test_the_table_in_the_documentation_has_the_same_marks() -> None:
    text = (Path(__file__).parent.parent.parent / "docs/resources.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    shown = {row[1].strip(" `"): [cell.strip(" ¹²³⁴⁵⁶⁷⁸⁹⁰") for cell in row[5:7]] for row in rows}
    assert {name: shown[name] for name in beancounters.BY_NAME} == {
        each.name: [each.v2, each.v1] for each in beancounters.BY_NAME.values()
    }
