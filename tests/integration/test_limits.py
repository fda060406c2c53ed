"""Limits of a VE, kept by the kernel and changed while it runs."""

import pytest

from tests.integration.conftest import Host

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"


def test_memory_is_bounded(host: Host) -> None:
    host.boot(101, MINIMAL, "--physpages", "128M", "--swappages", "0")
    hog = host.run("vzctl", "exec2", 101, "head -c 300M /dev/zero | tail -c 250M >/dev/null")
    assert hog.returncode == 137
    host.vzctl("set", 101, "--physpages", "600M")
    assert (
        host.run(
            "vzctl", "exec2", 101, "head -c 300M /dev/zero | tail -c 250M >/dev/null"
        ).returncode
        == 0
    )
    assert host.vzlist("-H", "-o", "physpages.l", 101).strip() == str(600 * 256)


def test_processes_are_bounded(host: Host) -> None:
    host.boot(101, MINIMAL)
    fork = "sh -c 'for i in $(seq 60); do sleep 2 & done'"
    host.vzctl("set", 101, "--numproc", 40)
    assert "Cannot fork" in host.run("vzctl", "exec", 101, fork).stderr
    assert int(host.vzlist("-H", "-o", "numproc.f", 101)) >= 1
    host.vzctl("set", 101, "--numproc", 400)
    assert host.run("vzctl", "exec", 101, fork).returncode == 0


def test_what_is_not_saved_stays_until_the_ve_stops(host: Host) -> None:
    host.boot(101, MINIMAL, "--numproc", "500")
    host.vzctl("set", 101, "--numproc", "100")
    host.vzctl("set", 101, "--cpulimit", "50", "--save")
    assert (host.group("pids", 101) / "pids.max").read_text() == "100\n"
    host.vzctl("restart", 101)
    assert (host.group("pids", 101) / "pids.max").read_text() == "500\n"


def test_cpu_limit_and_units_reach_the_kernel(host: Host) -> None:
    host.boot(101, MINIMAL, "--cpulimit", "25", "--cpuunits", "3000")
    group = host.group("cpu", 101)
    files = {path.name: path.read_text().strip() for path in group.glob("cpu.[scmw]*")}
    if "cpu.max" in files:
        assert (files["cpu.max"], files["cpu.weight"]) == ("25000 100000", "300")
    else:
        assert (files["cpu.cfs_quota_us"], files["cpu.shares"]) == ("25000", "3000")
    spent = host.inside(
        101, "timeout 1 sh -c 'while :; do :; done'; cat /sys/fs/cgroup/cpu.stat | head -1"
    )
    assert int(spent.split()[1]) < 2_000_000
