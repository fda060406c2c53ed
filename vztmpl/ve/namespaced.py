"""Bounds that belong to a VE's namespaces: System V memory, pseudo-terminals, TCP buffers, CPUs.

They are set from outside, in a child that has joined the namespace, so they can be changed while
the VE runs. Sources: ``sysctl/kernel.rst`` and ``networking/ip-sysctl.rst`` of the kernel,
``fs/devpts/inode.c`` for the options of a remount.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from vztmpl import kernel
from vztmpl.ve import beancounters
from vztmpl.ve.config import VEConfig
from vztmpl.ve.inside import in_child
from vztmpl.ve.units import UNLIMITED, Pair

SHMALL = "/proc/sys/kernel/shmall"
TCP_BUFFERS = {
    "tcpsndbuf": "/proc/sys/net/ipv4/tcp_wmem",
    "tcprcvbuf": "/proc/sys/net/ipv4/tcp_rmem",
}
_ANY_SHMALL = 2**64 - 1 - (1 << 24)  # the kernel's own default, include/uapi/linux/shm.h
_LEAST_BUFFER = 4096
_MOST_BUFFER = 2**31 - 1
_PTS_MAX = 1 << 20  # the most that devpts takes
_VISIBLE = {"online": "/sys/devices/system/cpu/online", "cpuinfo": "/proc/cpuinfo"}


def guarded_paths(given: Mapping[str, Pair]) -> list[str]:
    """Return the files that the VE's root may not write, or a bound would be his to lift."""
    found = [SHMALL] if "shmpages" in given else []
    return found + [path for name, path in TCP_BUFFERS.items() if name in given]


def pts_options(given: Mapping[str, Pair], gid: int) -> list[str]:
    """Return the mount options of /dev/pts; ``gid`` is that of the VE's tty group."""
    options = ["ptmxmode=0666", "mode=0620", f"gid={gid}"]
    if (limit := beancounters.limit(given, "numpty")) < _PTS_MAX:
        options.append(f"max={limit}")
    return options


def bound_shared_memory(pid: int, config: VEConfig) -> None:
    """Bound the shared memory of the VE whose init is ``pid``: System V's, and /dev/shm."""
    limit = beancounters.limit(config.beancounters, "shmpages")
    shmall, size = (_ANY_SHMALL, "50%") if limit == UNLIMITED else (limit, f"{limit * 4}k")

    def write() -> None:
        kernel.set_namespace(Path(f"/proc/{pid}/ns/ipc"), kernel.CLONE_NEWIPC)
        os.seteuid(config.first_id)  # the kernel asks for the owner of the namespace
        Path(SHMALL).write_text(str(shmall))
        os.seteuid(0)
        kernel.set_namespace(Path(f"/proc/{pid}/ns/mnt"), kernel.CLONE_NEWNS)
        flags = kernel.MS_REMOUNT | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("tmpfs", Path("/dev/shm"), "tmpfs", flags, f"size={size}")  # noqa: S108

    in_child(write, "can't set shmpages")


def bound_terminals(pid: int, config: VEConfig) -> None:
    """Bound the pseudo-terminals of a running VE."""
    options = pts_options(config.beancounters, config.first_id + 5)
    if not options[-1].startswith("max="):
        options.append(f"max={_PTS_MAX}")
    flags = kernel.MS_REMOUNT | kernel.MS_NOSUID | kernel.MS_NOEXEC

    def remount() -> None:
        kernel.set_namespace(Path(f"/proc/{pid}/ns/mnt"), kernel.CLONE_NEWNS)
        kernel.mount("devpts", Path("/dev/pts"), "devpts", flags, ",".join(options))

    in_child(remount, "can't set numpty")


def bound_tcp_buffers(pid: int, config: VEConfig) -> None:
    """Let no TCP socket of the VE have more than the barrier of all."""

    def write() -> None:
        usual = {name: Path(path).read_text().split() for name, path in TCP_BUFFERS.items()}
        kernel.set_namespace(Path(f"/proc/{pid}/ns/net"), kernel.CLONE_NEWNET)
        for name, path in TCP_BUFFERS.items():
            most = min(beancounters.barrier(config.beancounters, name), _MOST_BUFFER)
            values = [max(_LEAST_BUFFER, min(int(word), most)) for word in usual[name]]
            Path(path).write_text(" ".join(map(str, values)))

    in_child(write, "can't set tcpsndbuf and tcprcvbuf")


def show_cpus(pid: int, folder: Path, cpus: str, cpuinfo: str) -> None:
    """Let the VE see only its own CPUs in /proc/cpuinfo and /sys/devices/system/cpu/online.

    ``folder`` keeps the two files; the VE has these very files mounted from the first time on.
    """
    anew = not (folder / "online").exists()
    for name, text in (("online", f"{cpus}\n"), ("cpuinfo", cpuinfo)):
        (folder / name).write_text(text)
    if anew:
        in_child(lambda: _mount_views(pid, folder), "can't set cpus")


def own_cpuinfo(text: str, cpus: list[int]) -> str:
    """Return the part of /proc/cpuinfo that is about some CPUs."""
    kept = []
    for block in text.split("\n\n"):
        name, _, number = block.partition("\n")[0].partition(":")
        if name.strip() != "processor" or int(number) in cpus:
            kept.append(block)
    return "\n\n".join(kept)


def _mount_views(pid: int, folder: Path) -> None:
    trees = {path: kernel.open_tree(folder / name) for name, path in _VISIBLE.items()}
    kernel.set_namespace(Path(f"/proc/{pid}/ns/mnt"), kernel.CLONE_NEWNS)
    for path, tree in trees.items():
        kernel.move_mount(tree, Path(path))


_Bound = Callable[[int, VEConfig], None]
BOUNDS: tuple[tuple[tuple[str, ...], _Bound], ...] = (
    (("shmpages",), bound_shared_memory),
    (("numpty",), bound_terminals),
    (("tcpsndbuf", "tcprcvbuf"), bound_tcp_buffers),
)
"""Parameters, and what puts them in force."""
