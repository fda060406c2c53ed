"""What is read of a VE, with a folder that stands for the cgroup tree, and how it is written."""

from pathlib import Path

import pytest

from tests.ve.test_cgroup import ve
from tests.ve.test_resources import place
from vztmpl.ve import readings, ubc
from vztmpl.ve.readings import Place, Reading
from vztmpl.ve.ubc import Row
from vztmpl.ve.units import UNLIMITED

V2 = {
    "memory.current": "8192",
    "memory.peak": "16384",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n",
    "memory.swap.current": "4096",
    "memory.swap.peak": "4096",
    "memory.swap.events": "high 0\nmax 0\nfail 3\n",
    "memory.stat": "anon 40960\nkernel 5000\nsock 600\nshmem 8192\nunevictable 4096\n"
    "slab_reclaimable 700\n",
    "pids.current": "3",
    "pids.peak": "9",
    "pids.events": "max 4\n",
}
V1 = {
    "memory.usage_in_bytes": "8192",
    "memory.max_usage_in_bytes": "16384",
    "memory.failcnt": "7",
    "memory.memsw.usage_in_bytes": "12288",
    "memory.memsw.max_usage_in_bytes": "20480",
    "memory.memsw.failcnt": "3",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory.kmem.usage_in_bytes": "5000",
    "memory.kmem.max_usage_in_bytes": "6000",
    "memory.kmem.failcnt": "0",
    "memory.kmem.tcp.usage_in_bytes": "600",
    "memory.kmem.tcp.max_usage_in_bytes": "800",
    "memory.kmem.tcp.failcnt": "5",
    "memory.stat": "rss 1\ntotal_rss 40960\ntotal_shmem 8192\ntotal_swap 4096\n"
    "total_unevictable 4096\n",
}


def filled(folder: Path, *, unified: bool) -> Place:
    where = place(folder, unified=unified)
    for name, text in (V2 if unified else V1).items():
        (where.group.folder("memory") / name).write_text(text)
    return where


@pytest.mark.parametrize(
    ("name", "on_v2", "on_v1"),
    [
        ("physpages", Reading(2, 4, 7), Reading(2, 4, 10)),
        ("swappages", Reading(1, 1, 3), Reading(1, None, 3)),
        ("oomguarpages", Reading(3, None, 2), Reading(3, 5, 2)),
        ("kmemsize", Reading(5000), Reading(5000, 6000, 0)),
        ("lockedpages", Reading(1), Reading(1)),
        ("shmpages", Reading(2), Reading(2)),
        ("privvmpages", Reading(13), Reading(13)),
        ("tcpsndbuf", Reading(600), Reading(600, 800, 5)),
        ("tcprcvbuf", Reading(600), Reading(600, 800, 5)),
        ("dcachesize", Reading(700), Reading()),
        ("vmguarpages", Reading(), Reading()),
        ("othersockbuf", Reading(), Reading()),
        ("dgramrcvbuf", Reading(), Reading()),
        ("numiptent", Reading(), Reading()),
    ],
)
def test_readings_are_the_kernels_own(
    tmp_path: Path, name: str, on_v2: Reading, on_v1: Reading
) -> None:
    assert readings.reading(filled(tmp_path / "2", unified=True), name) == on_v2
    assert readings.reading(filled(tmp_path / "1", unified=False), name) == on_v1


def test_processes_have_a_peak_and_failures(tmp_path: Path) -> None:
    where = filled(tmp_path, unified=True)
    assert readings.reading(where, "numproc") == Reading(3, 9, 4)


def test_what_a_kernel_lacks_is_not_called_zero(tmp_path: Path) -> None:
    where = place(tmp_path)
    for name in ("physpages", "numproc", "swappages", "kmemsize", "privvmpages"):
        assert readings.reading(where, name) == Reading(None, None, None)


def rows() -> dict[str, Row]:
    found = ubc.rows(ve(physpages=(0, 256)), None)
    return found | {
        "numproc": Row(Reading(5, 9, 2), (100, 120)),
        "kmemsize": Row(Reading(7000, None, None), (1, UNLIMITED)),
    }


def test_user_beancounters_has_openvzs_24_rows() -> None:
    lines = ubc.user_beancounters([(101, rows())]).splitlines()
    assert lines[0] == "Version: 2.5"
    assert lines[1] == (
        "       uid  resource                     held              maxheld              barrier"
        "                limit              failcnt"
    )
    assert lines[2] == (
        "      101:  kmemsize                     7000                 7000                    1"
        "  9223372036854775807                    0"
    )
    assert lines[7].split() == ["numproc", "5", "9", "100", "120", "2"]
    names = [line[12:24].strip() for line in lines[2:]]
    assert len(names) == 24
    assert [index for index, name in enumerate(names) if name == "dummy"] == [4, 20, 21, 22]
    assert names[23] == "numiptent"
    assert "swappages" not in names


def test_resources_has_21_rows_and_the_uid_on_the_first_of_each_ve() -> None:
    lines = ubc.resources([(101, rows()), (102, rows())]).splitlines()
    assert len(lines) == 2 + 2 * 21
    assert [line.split()[0] for line in lines[2::21]] == ["101:", "102:"]
    assert lines[22].split()[0] == "swappages"
    assert all(len(line) == len(lines[1]) for line in lines[1:])
