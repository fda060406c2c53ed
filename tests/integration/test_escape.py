"""Known ways out of a container, each tried by the root of one running VE, each refused.

docs/threat-model.md has a row for every test here.
"""

import base64
import errno
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host, clear

pytestmark = pytest.mark.root
CTID = 101


@pytest.fixture(scope="module")
def ve(tiny_node: Host) -> Iterator[Host]:
    """The one VE that all these attacks start from."""
    tiny_node.vzctl("create", CTID, "--ostemplate", NAME, "--hostname", "prisoner")
    tiny_node.vzctl("start", CTID)
    yield tiny_node
    clear(tiny_node)


def refused(ve: Host, command: str) -> str:
    """Try something in the VE that has to fail; return what was said."""
    result = ve.run("vzctl", "exec2", CTID, command)
    assert result.returncode != 0, result.stdout
    return result.stdout + result.stderr


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hotplug",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/vm/panic_on_oom",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/sys/power/state",
        "/proc/1/oom_score_adj_of_the_host",
    ],
)
def test_what_the_kernel_runs_or_does_for_the_host_is_not_a_ves_to_set(ve: Host, path: str) -> None:
    before = Path(path).read_bytes() if Path(path).is_file() and "trigger" not in path else b""
    refused(ve, f"mount -o remount,rw /proc /sys; echo '|/tmp/x' > {path}")
    assert before == (Path(path).read_bytes() if before else b"")


@pytest.mark.parametrize("kind", ["b 8 0", "b 259 0", "b 254 0", "c 1 1", "c 1 2", "c 10 232"])
def test_no_device_can_be_made(ve: Host, kind: str) -> None:
    for folder in ("/dev", "/root", "/run"):
        refused(ve, f"mknod {folder}/escape {kind} && cat {folder}/escape")


def test_no_block_device_is_there_or_can_be_mounted(ve: Host) -> None:
    assert ve.inside(CTID, "find /dev -type b") == ""
    for source in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"):
        refused(ve, f"mount -t ext4 {source} /tmp || losetup /dev/loop0 /etc/passwd")


@pytest.mark.parametrize("path", ["/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/kpageflags"])
def test_the_kernels_memory_can_not_be_read(ve: Host, path: str) -> None:
    got = ve.run("vzctl", "exec2", CTID, f"dd if={path} bs=64 count=1 2>/dev/null | wc -c").stdout
    assert got.strip() == "0"


def test_kernel_addresses_are_hidden(ve: Host) -> None:
    addresses = ve.inside(CTID, "cut -d' ' -f1 /proc/kallsyms 2>/dev/null | sort -u | head -3")
    assert set(addresses) <= {"0", "\n"}


def test_no_module_is_loaded(ve: Host) -> None:
    refused(ve, "cp /bin/busybox /tmp/m.ko; insmod /tmp/m.ko")
    assert "not permitted" in refused(ve, "rmmod loop")


def test_a_mount_in_a_ve_does_not_reach_the_host(ve: Host) -> None:
    host_side = ve.sysroot / f"vz/root/{CTID}"
    command = "mount --make-rshared /; mount -t tmpfs from-a-ve /mnt; touch /mnt/here"
    ve.inside(CTID, f"mkdir -p /mnt; {command}")
    assert "from-a-ve" not in Path("/proc/self/mountinfo").read_text()
    assert list((host_side / "mnt").iterdir()) == []
    subprocess.run(["mount", "-t", "tmpfs", "x", host_side / "root"], check=True)
    try:
        (host_side / "root/from-host").touch()
        assert "from-host" not in ve.inside(CTID, "ls /root")
    finally:
        subprocess.run(["umount", host_side / "root"], check=True)
    ve.inside(CTID, "umount /mnt")


def test_no_release_agent_can_be_set(ve: Host) -> None:
    """CVE-2022-0492: a release agent is run by the kernel as the host's root."""
    refused(
        ve,
        "mkdir -p /tmp/cg; for kind in memory pids freezer rdma devices; do"
        " mount -t cgroup -o $kind x /tmp/cg && echo /tmp/x > /tmp/cg/release_agent && exit 0;"
        " done; exit 1",
    )
    assert ve.inside(CTID, "find /sys/fs/cgroup -name release_agent") == ""


def test_a_ve_can_not_lift_its_limits_or_leave_its_group(ve: Host) -> None:
    assert ve.inside(CTID, "cat /proc/self/cgroup | tail -1") == "0::/"
    refused(ve, "echo 1 > /sys/fs/cgroup/../cgroup.procs && [ ! -e /sys/fs/cgroup/cgroup.procs ]")
    refused(ve, "echo max > /sys/fs/cgroup/pids.max")
    refused(ve, "echo 0 > /sys/fs/cgroup/cgroup.freeze")


def test_keyrings_are_out_of_reach(ve: Host) -> None:
    """The calls are among CALLS below; this is their list, which has no namespace."""
    assert ve.run("vzctl", "exec2", CTID, "cat /proc/keys").stdout == ""


def test_processes_of_the_host_are_out_of_reach(ve: Host) -> None:
    init = (ve.sysroot / f"run/vztmpl/{CTID}/state").read_text().split()[0]
    for pid in (init, str(os.getpid())):
        refused(ve, f"kill -0 {pid}")
        refused(ve, f"cat /proc/{pid}/environ")
    assert int(ve.inside(CTID, "ls -d /proc/[0-9]* | wc -l")) < 20
    # from /proc of the VE's init the host's root would be in sight, were it not the VE's own
    assert ve.inside(CTID, "cat /proc/1/root/etc/hostname") == "prisoner"


def test_exec_leaks_no_descriptor_and_no_root_of_the_hosts(ve: Host) -> None:
    leaked = os.open("/etc", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        command = [*ve.prefix, "vzctl", "exec2", str(CTID), "ls -l /proc/$$/fd; pwd -P"]
        open_ones = subprocess.run(
            command, env=ve.whole_env, close_fds=False, text=True, capture_output=True, check=True
        ).stdout
    finally:
        os.close(leaked)
    targets = [line.partition(" -> ")[2] for line in open_ones.splitlines() if " -> " in line]
    assert [one for one in targets if one.startswith("/") and one != "/dev/null"] == []
    assert Path("/dev/null").stat().st_uid == 0  # our stdin, which crun would give to the VE
    assert open_ones.splitlines()[-1] == "/"
    refused(ve, "cat /proc/self/fd/*/../../etc/shadow | grep -v '*:19000'")


def test_the_runtime_itself_can_not_be_overwritten(ve: Host) -> None:
    """CVE-2019-5736: /proc/self/exe of the runtime, as seen by what it starts."""
    before = Path("/usr/bin/crun").stat()
    command = (
        "cp /bin/busybox /tmp/old; for i in 1 2 3 4 5 6 7 8; do for p in /proc/[0-9]*; do"
        " (echo x > $p/exe) 2>/dev/null; done; done; exit 0"
    )
    chase = threading.Thread(target=lambda: [ve.vzctl("exec3", CTID, "true") for _ in range(4)])
    chase.start()
    ve.inside(CTID, command)
    chase.join()
    after = Path("/usr/bin/crun").stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_links_swapped_while_the_host_writes_lead_it_nowhere(ve: Host, tmp_path: Path) -> None:
    """The VE's root changes /etc and its files into links while the host writes names there."""
    victim = tmp_path / "etc"
    victim.mkdir()
    for name in ("hostname", "hosts", "resolv.conf"):
        (victim / name).write_text("untouched")
    outside = f"{'../' * 12}{victim}"
    swap = (
        "cp -r /etc /etc.good; (while [ ! -e /stop ]; do mv /etc /etc.away;"
        f" ln -s {outside} /etc; rm /etc; mv /etc.away /etc;"
        f" for n in hostname hosts resolv.conf; do ln -sf {outside}/$n /etc/$n; done; done)"
        " >/dev/null 2>&1 &"
    )
    ve.inside(CTID, swap)
    for number in range(6):
        words = ("--hostname", f"name{number}", "--nameserver", f"192.0.2.{number + 1}")
        ve.run("vzctl", "set", CTID, *words, "--save")
    ve.inside(CTID, "touch /stop; sleep 0.3; rm -rf /etc /etc.away; mv /etc.good /etc")
    assert {path.read_text() for path in victim.iterdir()} == {"untouched"}
    assert sorted(path.name for path in victim.iterdir()) == ["hostname", "hosts", "resolv.conf"]


def test_namespaces_of_the_host_can_not_be_joined(ve: Host) -> None:
    for kind in ("mnt", "net", "pid", "user", "uts", "ipc", "cgroup"):
        inside = ve.inside(CTID, f"readlink /proc/self/ns/{kind}")
        assert inside != str(Path(f"/proc/self/ns/{kind}").readlink())
    refused(ve, "nsenter -t 1 -m -u true && [ ! -e /etc/inittab ] || exit 1")


def test_the_hosts_root_is_nobody_inside(ve: Host) -> None:
    assert ve.inside(CTID, "stat -c %u /proc/sys/kernel/core_pattern") == "65534"
    first = int(ve.inside(CTID, "awk '{ print $2; exit }' /proc/self/uid_map"))
    assert first >= 1 << 29
    assert ve.inside(CTID, "wc -l < /proc/self/uid_map") == "1"


CALLS = {
    # by x86_64 and by i386 (syscalls(2)): modules, kexec, keyrings, files by handle, …
    "init_module": (175, 128),
    "finit_module": (313, 350),
    "delete_module": (176, 129),
    "kexec_load": (246, 283),
    "open_by_handle_at": (304, 342),
    "add_key": (248, 286),
    "request_key": (249, 287),
    "keyctl": (250, 288),
    "bpf": (321, 357),
    "perf_event_open": (298, 336),
    "userfaultfd": (323, 374),
    "swapon": (167, 87),
    "settimeofday": (164, 79),
    "acct": (163, 51),
}
_ALLOWED = {"getpid": (39, 20)}


def test_calls_that_reach_past_every_namespace_are_refused_by_both_doors(ve: Host) -> None:
    written, called = [], []  # all before the first is called: one just written may be busy
    for name, (number, number_32) in {**CALLS, **_ALLOWED}.items():
        for door, program in (("64", elf64(number)), ("32", elf32(number_32))):
            place = f"/tmp/{name}.{door}"
            text = base64.b64encode(program).decode()
            written.append(f"echo {text} | base64 -d > {place}; chmod +x {place}")
            called.append(f"{place}; echo {name} {door} $?")
    said = ve.run("vzctl", "exec2", CTID, "-", stdin="\n".join(written + called) + "\n").stdout
    for line in said.splitlines():
        name, door, status = line.split()
        if name in CALLS:
            assert int(status) == errno.EPERM, line
        else:
            assert int(status) not in (errno.EPERM, 126, 127, 128 + 31), line  # SIGSYS: killed
    assert len(said.splitlines()) == len(called)


def elf64(number: int) -> bytes:
    """A program for x86_64 that makes one call with zeros and ends with its error number."""
    call = b"\xb8" + number.to_bytes(4, "little")
    code = call + bytes.fromhex("31ff 31f6 31d2 0f05 f7d8 89c7 b83c000000 0f05")
    base, start = 0x400000, 120
    size = (start + len(code)).to_bytes(8, "little")
    header = bytes.fromhex("7f454c4602010100 0000000000000000 02003e0001000000")
    header += (base + start).to_bytes(8, "little") + (64).to_bytes(8, "little") + bytes(8)
    header += bytes.fromhex("00000000 40003800 01000000 00000000")
    segment = bytes.fromhex("01000000 05000000") + bytes(8) + base.to_bytes(8, "little") * 2
    return header + segment + size * 2 + (4096).to_bytes(8, "little") + code


def elf32(number: int) -> bytes:
    """The same for i386: the kernel's other door, with other numbers (elf(5))."""
    call = b"\xb8" + number.to_bytes(4, "little")
    code = call + bytes.fromhex("31db 31c9 31d2 cd80 f7d8 89c3 b801000000 cd80")
    base, start = 0x08048000, 84
    size = (start + len(code)).to_bytes(4, "little")
    header = bytes.fromhex("7f454c4601010100 0000000000000000 0200030001000000")
    header += (base + start).to_bytes(4, "little") + (52).to_bytes(4, "little") + bytes(8)
    header += bytes.fromhex("34002000 01000000 00000000")
    segment = bytes.fromhex("01000000") + bytes(4) + base.to_bytes(4, "little") * 2
    return header + segment + size * 2 + bytes.fromhex("05000000 00100000") + code
