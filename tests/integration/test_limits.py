"""Limits of a VE, kept by the kernel and changed while it runs. One VE, bounded in every way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Host, Result, left_behind

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"
HOG = "head -c 300M /dev/zero | tail -c 250M >/dev/null"
FORK = "sh -c 'for i in $(seq 60); do sleep 2 & done'"
BOUNDS = (
    ("--ram", "256M"), ("--swap", "64M"), ("-p", "400"), ("--lockedpages", "16"),
    ("--shmpages", "256"), ("--numtcpsock", "20"), ("--numothersock", "30"), ("-t", "6"),
    ("--numsiginfo", "100"), ("--numfile", "300"), ("--tcpsndbuf", "128K:512K"),
    ("--tcprcvbuf", "128K:512K"), ("--vmguarpages", "1024:unlimited"), ("--cpus", "1"),
    ("--cpulimit", "90"), ("--cpuunits", "3000"), ("--iolimit", "50"), ("-k", "10M"),
)  # fmt: skip


@pytest.fixture(scope="module")
def bounded(node: Host) -> Iterator[Host]:
    """A node with one VE, 101, that has every limit that there is."""
    node.boot(101, MINIMAL, *(word for pair in BOUNDS for word in pair))
    yield node
    node.run("vzctl", "stop", 101, "--fast")
    node.vzctl("destroy", 101)
    assert left_behind(node) == []


def perl(host: Host, code: str) -> str:
    """Run Perl in VE 101."""
    return host.vzctl("exec2", 101, "perl", "-MSocket", "-MPOSIX", "-e", f"'{code}'").strip()


def try_inside(host: Host, command: str) -> Result:
    return host.run("vzctl", "exec2", 101, command)


def column(host: Host, name: str) -> str:
    return host.vzlist("-H", "-o", name, 101).strip()


def group_file(host: Host, controller: str, *names: str) -> str:
    """Read the file of that name, version 2's or version 1's."""
    folder = host.group(controller, 101)
    return next((folder / name).read_text().strip() for name in names if (folder / name).exists())


def test_memory_is_bounded(bounded: Host) -> None:
    assert try_inside(bounded, HOG).returncode == 137
    assert int(column(bounded, "physpages.f")) >= 1
    assert int(column(bounded, "oomguarpages.f")) >= 1
    assert int(column(bounded, "physpages.m")) > 200 * 256
    assert not Path("oom").exists(), "conmon notes it where it was started"
    bounded.vzctl("set", 101, "--ram", "600M")
    assert try_inside(bounded, HOG).returncode == 0
    assert column(bounded, "physpages.l") == str(600 * 256)
    bounded.vzctl("set", 101, "--ram", "256M")


def test_privvmpages_bound_the_memory_where_there_is_no_ram(bounded: Host) -> None:
    lifted = ("--physpages", "unlimited", "--swappages", "unlimited")
    bounded.vzctl("set", 101, *lifted, "--privvmpages", "150M:200M")
    assert try_inside(bounded, HOG).returncode == 137
    bounded.vzctl("set", 101, "--ram", "256M", "--swap", "64M", "--privvmpages", "unlimited")


def test_swap_counts_beside_the_memory(bounded: Host) -> None:
    both = group_file(bounded, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert both in (str((256 + 64) << 20), str(64 << 20))
    assert column(bounded, "swappages") in ("0", "-")


def test_a_guarantee_reaches_the_kernel(bounded: Host) -> None:
    found = group_file(bounded, "memory", "memory.soft_limit_in_bytes", "memory.low")
    assert found == str(1024 * 4096)


def test_processes_are_bounded(bounded: Host) -> None:
    bounded.vzctl("set", 101, "--numproc", 40)
    assert "Cannot fork" in bounded.run("vzctl", "exec", 101, FORK).stderr
    assert int(column(bounded, "numproc.f")) >= 1
    assert int(column(bounded, "numproc.m")) == 40
    bounded.vzctl("set", 101, "--numproc", 400)
    assert bounded.run("vzctl", "exec", 101, FORK).returncode == 0


def test_locked_memory_is_bounded(bounded: Host) -> None:
    lock = '$m = "x" x 1048576; $r = syscall(149, $m, {}); print $r < 0 ? $!{{ENOMEM}} : "ok"'
    assert perl(bounded, lock.format(4096)) == "ok"
    assert int(perl(bounded, lock.format(131072)) or 0) > 0
    bounded.vzctl("set", 101, "--lockedpages", "8")
    assert bounded.inside(101, "ulimit -l") == "32"
    assert (
        bounded.inside(101, "cut -c1-17,26-40 /proc/1/limits | grep locked").split()[-1] == "32768"
    )


def test_shared_memory_is_bounded(bounded: Host) -> None:
    get = "$r = shmget(0, {}, 0600); print defined $r ? shmctl($r, 0, 0) : $!{{ENOSPC}}"
    assert perl(bounded, get.format(1 << 19)).startswith("0")
    assert int(perl(bounded, get.format(2 << 20)) or 0) > 0
    full = try_inside(bounded, "head -c 2M /dev/zero >/dev/shm/hog; r=$?; rm /dev/shm/hog; exit $r")
    assert "No space left" in full.stderr
    assert try_inside(bounded, "echo 9999999 >/proc/sys/kernel/shmall").returncode
    bounded.inside(101, "head -c 400K /dev/zero >/dev/shm/some")
    assert int(column(bounded, "shmpages")) >= 100
    bounded.inside(101, "rm /dev/shm/some")


SOCKETS = 'for (1..50) {{ socket(my $s, {}, {}, 0) or last; push @s, $s }} print scalar @s, " $!"'


@pytest.mark.parametrize(
    ("name", "domain", "kind", "limit"),
    [
        ("numtcpsock", "PF_INET", "SOCK_STREAM", 20),
        ("numtcpsock", "PF_INET6", "SOCK_STREAM", 20),
        ("numothersock", "PF_INET", "SOCK_DGRAM", 30),
    ],
)
def test_sockets_are_bounded(bounded: Host, name: str, domain: str, kind: str, limit: int) -> None:
    before = int(column(bounded, name))
    made = perl(bounded, SOCKETS.format(domain, kind))
    assert made == f"{limit - before} Operation not permitted"
    assert int(column(bounded, f"{name}.f")) >= 1
    assert int(column(bounded, f"{name}.m")) == limit
    assert int(column(bounded, name)) == before


def test_a_limit_of_sockets_moves_while_they_are_counted(bounded: Host) -> None:
    bounded.vzctl("set", 101, "--numtcpsock", "5")
    assert perl(bounded, SOCKETS.format("PF_INET", "SOCK_STREAM")).startswith("5 ")
    bounded.vzctl("set", 101, "--numtcpsock", "unlimited")
    assert perl(bounded, SOCKETS.format("PF_INET", "SOCK_STREAM")).startswith("50 ")
    bounded.vzctl("set", 101, "--numtcpsock", "20")


def test_accepted_connections_are_given_back_only_once(bounded: Host) -> None:
    accept = (
        "socket(my $l, PF_INET, SOCK_STREAM, 0); bind($l, sockaddr_in(0, INADDR_LOOPBACK));"
        " listen($l, 5); for (1..40) { socket(my $c, PF_INET, SOCK_STREAM, 0) or die $!;"
        " connect($c, getsockname($l)) or die $!; accept(my $a, $l); close $c; close $a }"
    )
    before = column(bounded, "numtcpsock")
    perl(bounded, accept)
    assert column(bounded, "numtcpsock") == before


def test_file_locks_are_counted(bounded: Host) -> None:
    before = int(column(bounded, "numflock"))
    hold = "flock --exclusive /run/some-lock sleep 30 >/dev/null 2>&1 & sleep 0.2"
    bounded.inside(101, hold)
    assert int(column(bounded, "numflock")) == before + 1
    bounded.inside(101, "pkill -x sleep")


def test_terminals_are_bounded(bounded: Host) -> None:
    take = 'for (1..20) { open(my $h, "+<", "/dev/ptmx") or last; push @h, $h } print scalar @h, $!'
    before = int(column(bounded, "numpty"))
    assert perl(bounded, take) == f"{6 - before}No space left on device"
    bounded.vzctl("set", 101, "--numpty", "9")
    assert perl(bounded, take).startswith(str(9 - before))


def test_queued_signals_of_all_users_are_bounded_together(bounded: Host) -> None:
    queue = (
        "for $u (0, 1, 2) { if (!fork) { setuid($u); $n = 0;"
        " sigprocmask(SIG_BLOCK, POSIX::SigSet->new(40));"
        " $i = pack(q(iiiiii), 40, 0, -1, $$, $u, 0) . chr(0) x 200;"
        " while ($n < 1000) { last if syscall(129, $$, 40, $i) < 0; $n++ }"
        " syswrite(STDOUT, qq($n )); select(undef, undef, undef, 0.5); exit }"
        " select(undef, undef, undef, 0.1) } 1 while wait > 0"
    )
    queued = [int(word) for word in perl(bounded, queue).split()]
    assert 90 < queued[0] <= 100
    assert queued[1:] == [0, 0]
    said = bounded.run("vzctl", "set", 101, "--numsiginfo", "50").stderr
    assert "from the next start" in said


def test_tcp_buffers_are_bounded(bounded: Host) -> None:
    fill = (
        "socket(my $l, PF_INET, SOCK_STREAM, 0); bind($l, sockaddr_in(0, INADDR_LOOPBACK));"
        " listen($l, 5); socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, getsockname($l));"
        " accept(my $a, $l); fcntl($c, F_SETFL, O_NONBLOCK); $n = 0; for (1..50) {"
        " while (defined($w = syswrite($c, q(x) x 65536))) { $n += $w }"
        " select(undef, undef, undef, 0.01) } print $n"
    )
    assert 10_000 < int(perl(bounded, fill)) < 300_000
    assert try_inside(bounded, "echo 9 9 9 >/proc/sys/net/ipv4/tcp_wmem").returncode
    bounded.vzctl("set", 101, "--tcpsndbuf", "4M:8M", "--tcprcvbuf", "4M:8M")
    assert int(perl(bounded, fill)) > 400_000


def test_version_1_bounds_the_buffers_of_all_sockets_together(bounded: Host) -> None:
    if not (bounded.group("memory", 101) / "memory.kmem.tcp.limit_in_bytes").exists():
        pytest.skip("cgroup version 2 has no account of TCP buffers to bound")
    fill = (
        "socket(my $l, PF_INET, SOCK_STREAM, 0); bind($l, sockaddr_in(0, INADDR_LOOPBACK));"
        " listen($l, 30); $n = 0; for (1..15) { socket(my $c, PF_INET, SOCK_STREAM, 0);"
        " connect($c, getsockname($l)); accept(my $a, $l); push @k, $c, $a;"
        " fcntl($c, F_SETFL, O_NONBLOCK);"
        " while (defined($w = syswrite($c, q(x) x 65536))) { $n += $w } } print $n"
    )
    bounded.vzctl("set", 101, "--tcpsndbuf", "1M:1G", "--tcprcvbuf", "1M:1G")
    much = int(perl(bounded, fill))
    bounded.vzctl("set", 101, "--tcpsndbuf", "1M:1M", "--tcprcvbuf", "1M:1M")
    assert int(perl(bounded, fill)) < much / 2


def test_open_files_are_bounded(bounded: Host) -> None:
    take = 'while (open(my $h, "<", "/dev/null")) { push @h, $h } print scalar @h, " $!{EMFILE}"'
    count, error = perl(bounded, take).split()
    assert int(count) in range(250, 300)
    assert int(error) > 0
    assert int(column(bounded, "numfile")) > 20


def test_what_is_not_enforced_is_said(bounded: Host) -> None:
    options = ("othersockbuf", "dgramrcvbuf", "dcachesize", "numiptent", "avnumproc", "numflock")
    words = [word for name in options for word in (f"--{name}", "1000")]
    said = bounded.run("vzctl", "set", 101, *words).stderr
    for name in options:
        assert f"WARNING: {name} can't be enforced on this host: " in said
        assert name == "avnumproc" or column(bounded, f"{name}.l") == "1000"
    shown = bounded.run("vzubc", 101).stdout
    assert "numflock is not enforced: " in shown
    assert "numproc" in shown
    assert "exact" in shown


def test_ubc_has_openvzs_format_and_real_numbers(bounded: Host) -> None:
    rows = bounded.vzctl("ubc", 101).splitlines()
    assert len(rows) == 26
    numbers = {line[12:24].strip(): line[24:].split() for line in rows[2:]}
    assert int(numbers["numproc"][0]) >= 2
    assert numbers["numproc"][2:4] == ["400", "400"]
    assert int(numbers["kmemsize"][0]) > 100_000
    assert len(bounded.vzctl("ubc", 101, "--resources").splitlines()) == 23


def test_cpus_bound_what_a_ve_uses_and_what_it_sees(bounded: Host) -> None:
    see = "nproc; grep -c ^processor /proc/cpuinfo; cat /sys/devices/system/cpu/online"
    alone = bounded.inside(101, see).split()
    assert alone[:2] == ["1", "1"]
    assert group_file(bounded, "cpuset", "cpuset.cpus") == alone[2]
    bounded.vzctl("set", 101, "--cpus", "0", "--cpumask", "0-1")
    assert bounded.inside(101, see).split() == ["2", "2", "0-1"]
    refused = bounded.run("vzctl", "set", 101, "--cpumask", "4000")
    assert (refused.returncode, "this host has no cpu 4000" in refused.stderr) == (21, True)


def test_cpu_limit_and_units_reach_the_kernel(bounded: Host) -> None:
    bounded.vzctl("set", 101, "--cpulimit", "25")
    assert group_file(bounded, "cpu", "cpu.max", "cpu.cfs_quota_us").split()[0] == "25000"
    assert group_file(bounded, "cpu", "cpu.weight", "cpu.shares") in ("300", "3000")
    spent = bounded.inside(
        101, "timeout 1 sh -c 'while :; do :; done'; cat /sys/fs/cgroup/cpu.stat | head -1"
    )
    assert int(spent.split()[1]) < 60_000_000
    bounded.vzctl("set", 101, "--cpulimit", "0")


def test_the_node_has_a_weight_too(bounded: Host) -> None:
    parent = bounded.group("cpu", 101).parent
    bounded.vzctl("set", 0, "--cpuunits", "1500", "--save")
    weights = [path for name in ("cpu.weight", "cpu.shares") if (path := parent / name).exists()]
    assert weights[0].read_text().strip() in ("200", "2048")
    (bounded.sysroot / "etc/vz/conf/0.conf").unlink()
    refused = bounded.run("vzctl", "set", 0, "--numproc", "5", "--save")
    assert refused.returncode == 21


def test_the_disk_is_bounded_where_it_can_be(bounded: Host) -> None:
    blkio = bounded.group("cpu", 101).parent.parent.parent / "blkio" / bounded.group_name / "101"
    throttle = blkio / "blkio.throttle.write_bps_device"
    assert throttle.read_text().split()[1] == str(50 << 20)
    bounded.vzctl("set", 101, "--iolimit", "0", "--iopslimit", "500")
    assert throttle.read_text() == ""
    assert (blkio / "blkio.throttle.read_iops_device").read_text().split()[1] == "500"


def test_a_limit_below_what_is_in_use_breaks_nothing(bounded: Host) -> None:
    hold = "perl -e '$m = q(x) x (120 << 20); sleep 60' >/dev/null 2>&1 & sleep 1"
    bounded.inside(101, hold)
    held = int(column(bounded, "numproc"))
    bounded.vzctl("set", 101, "--numproc", 2)
    assert bounded.run("vzctl", "exec", 101, FORK).returncode
    assert int(column(bounded, "numproc")) >= held
    bounded.vzctl("set", 101, "--numproc", 400)
    refused = bounded.run("vzctl", "set", 101, "--ram", "32M", "--numproc", "123")
    if refused.returncode:  # version 1 refuses, version 2 has the OOM killer make room
        assert refused.returncode == 1
        assert "more is in use and can't be freed" in refused.stderr
        assert group_file(bounded, "pids", "pids.max") == "400"
        assert column(bounded, "physpages.l") == str(256 * 256)
    bounded.vzctl("set", 101, "--ram", "256M", "--numproc", 400)
    bounded.inside(101, "pkill -x perl; true")


def test_what_is_not_saved_stays_until_the_ve_stops(bounded: Host) -> None:
    bounded.vzctl("set", 101, "--numproc", "100")
    bounded.vzctl("set", 101, "--cpulimit", "50", "--save")
    assert group_file(bounded, "pids", "pids.max") == "100"
    said = bounded.run("vzctl", "restart", 101).stderr
    assert "not enforced on this host: kmemsize" in said
    assert group_file(bounded, "pids", "pids.max") == "400"
    assert bounded.inside(101, "ulimit -n; ulimit -l").split() == ["300", "64"]
