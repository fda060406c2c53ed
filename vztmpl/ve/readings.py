"""What a VE uses of each beancounter: held, the most so far, and how often more was refused.

docs/resources.md says which file each number comes from. Where a kernel does not count a thing
the answer is None, not zero.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vztmpl.settings import Node
from vztmpl.ve import cgroup
from vztmpl.ve.cgroup import Group
from vztmpl.ve.status import run_folder, running_boot
from vztmpl.ve.units import PAGE_BYTES

SOCKETS_NOTE = "sockets"
"""The file in a VE's run folder that names the map of its sockets."""


class Reading(NamedTuple):
    """What a VE uses of a parameter; None where this kernel does not say."""

    held: int | None = None
    maxheld: int | None = None
    """The most since the VE started."""
    failcnt: int | None = None
    """How often more was asked for than the limit allows."""


class Place(NamedTuple):
    """Where a running VE is to be read."""

    group: Group
    pid: int
    """Of its init."""
    folder: Path
    """Its run folder."""


def place(node: Node, ctid: int) -> Place | None:
    """Return where a VE is to be read; None when it does not run."""
    boot = running_boot(node, ctid)
    if boot is None:
        return None
    return Place(cgroup.of_ve(node.tag, ctid), boot.pid, run_folder(node, ctid))


def reading(place: Place, parameter: str) -> Reading:
    """Return what the kernel counts of one parameter."""
    read = _READERS.get(parameter)
    try:
        return read(place) if read else Reading()
    except (FileNotFoundError, ProcessLookupError):  # it stops just now
        return Reading()


def _numproc(place: Place) -> Reading:
    return Reading(
        held=_number(place, "pids", "pids.current"),
        maxheld=_number(place, "pids", "pids.peak"),
        failcnt=_number(place, "pids", "pids.events", "max"),
    )


def _physpages(place: Place) -> Reading:
    if place.group.hierarchies.unified:
        return _memory(place, "memory.current", "memory.peak", "memory.events", "max")
    files = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt")
    read = _memory(place, *files)
    # Memory and swap together are charged first: with no swap it is there that memory is refused.
    # Linux 6.18 does not count that.
    with_swap = _number(place, "memory", "memory.memsw.failcnt") or 0
    return read._replace(failcnt=None if read.failcnt is None else read.failcnt + with_swap)


def _swappages(place: Place) -> Reading:
    if place.group.hierarchies.unified:
        names = ("memory.swap.current", "memory.swap.peak", "memory.swap.events", "fail")
        return _memory(place, *names)
    failed = _number(place, "memory", "memory.memsw.failcnt")
    return Reading(held=_pages(_stat(place, "total_swap")), failcnt=failed)


def _oomguarpages(place: Place) -> Reading:
    if place.group.hierarchies.unified:
        swap = _number(place, "memory", "memory.swap.current") or 0
        memory = _number(place, "memory", "memory.current")
        held = None if memory is None else memory + swap
        return Reading(_pages(held), None, _number(place, "memory", "memory.events", "oom_kill"))
    files = ("memory.memsw.usage_in_bytes", "memory.memsw.max_usage_in_bytes")
    return _memory(place, *files, "memory.oom_control", "oom_kill")


def _kmemsize(place: Place) -> Reading:
    if place.group.hierarchies.unified:
        return Reading(_stat(place, "kernel"))
    return Reading(
        held=_number(place, "memory", "memory.kmem.usage_in_bytes"),
        maxheld=_number(place, "memory", "memory.kmem.max_usage_in_bytes"),
        failcnt=_number(place, "memory", "memory.kmem.failcnt"),
    )


def _lockedpages(place: Place) -> Reading:
    prefix = "" if place.group.hierarchies.unified else "total_"
    return Reading(_pages(_stat(place, f"{prefix}unevictable")))


def _shmpages(place: Place) -> Reading:
    prefix = "" if place.group.hierarchies.unified else "total_"
    return Reading(_pages(_stat(place, f"{prefix}shmem")))


def _privvmpages(place: Place) -> Reading:
    if place.group.hierarchies.unified:
        swap = _number(place, "memory", "memory.swap.current")
        parts = [_stat(place, "anon"), _stat(place, "shmem"), swap]
    else:
        parts = [_stat(place, f"total_{name}") for name in ("rss", "shmem", "swap")]
    known = [part for part in parts if part is not None]
    return Reading(_pages(sum(known)) if known else None)


def _dcachesize(place: Place) -> Reading:
    return Reading(_stat(place, "slab_reclaimable"))


def _tcp_buffers(place: Place) -> Reading:
    """Both directions together: the kernel keeps one account."""
    if place.group.hierarchies.unified:
        return Reading(_stat(place, "sock"))
    return Reading(
        held=_number(place, "memory", "memory.kmem.tcp.usage_in_bytes"),
        maxheld=_number(place, "memory", "memory.kmem.tcp.max_usage_in_bytes"),
        failcnt=_number(place, "memory", "memory.kmem.tcp.failcnt"),
    )


def _numtcpsock(place: Place) -> Reading:
    return _counted(place, "numtcpsock") or Reading(_sockstat(place, "TCP:", "inuse"))


def _numothersock(place: Place) -> Reading:
    if counted := _counted(place, "numothersock"):
        return counted
    used, tcp = _sockstat(place, "sockets:", "used"), _sockstat(place, "TCP:", "inuse")
    return Reading(None if used is None or tcp is None else max(0, used - tcp))


def _numflock(place: Place) -> Reading:
    pids = {str(pid) for pid in cgroup.members(place.group)}
    lines = Path("/proc/locks").read_text().splitlines()
    return Reading(sum(line.split(" -> ")[-1].split()[-4] in pids for line in lines))


def _numpty(place: Place) -> Reading:
    """Count what stands in the VE's /dev/pts, if that is a devpts: nothing of it is opened."""
    root = Path(f"/proc/{place.pid}/root")
    mounts = Path(f"/proc/{place.pid}/mountinfo").read_text().splitlines()
    there = [line.split(" - ")[1].split()[0] for line in mounts if line.split()[4] == "/dev/pts"]
    if there[-1:] != ["devpts"]:
        return Reading()
    return Reading(sum(path.name.isdigit() for path in (root / "dev/pts").iterdir()))


def _numsiginfo(place: Place) -> Reading:
    """Add up the queues of all users of the VE; the kernel keeps one queue a user."""
    queued = {}
    for status in _statuses(place):
        queued[status["Uid"].split()[0]] = int(status["SigQ"].partition("/")[0])
    return Reading(sum(queued.values()))


def _numfile(place: Place) -> Reading:
    held = 0
    for pid in cgroup.members(place.group):
        with suppress(OSError):
            held += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Reading(held)


def _counted(place: Place, name: str) -> Reading | None:
    from vztmpl.ve import sockets

    counted = sockets.count(place.folder / SOCKETS_NOTE, name)
    return None if counted is None else Reading(*counted)


def _statuses(place: Place) -> Iterator[dict[str, str]]:
    for pid in cgroup.members(place.group):
        with suppress(OSError):
            text = Path(f"/proc/{pid}/status").read_text()
            yield dict(_halves(text.splitlines()))


def _halves(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name, value.strip()


def _sockstat(place: Place, line: str, key: str) -> int | None:
    """Read /proc/PID/net/sockstat and sockstat6; what both have is added up."""
    found = []
    for name in ("sockstat", "sockstat6"):
        with suppress(FileNotFoundError):
            for each in Path(f"/proc/{place.pid}/net/{name}").read_text().splitlines():
                words = each.split()
                if words[0] in (line, line.replace(":", "6:")):
                    found.append(int(words[words.index(key) + 1]))
    return sum(found) if found else None


def _memory(place: Place, held: str, maxheld: str, failcnt: str, event: str = "") -> Reading:
    return Reading(
        held=_pages(_number(place, "memory", held)),
        maxheld=_pages(_number(place, "memory", maxheld)),
        failcnt=_number(place, "memory", failcnt, event),
    )


def _stat(place: Place, key: str) -> int | None:
    return _number(place, "memory", "memory.stat", key)


def _pages(size_bytes: int | None) -> int | None:
    return None if size_bytes is None else size_bytes // PAGE_BYTES


def _number(place: Place, controller: str, file: str, key: str = "") -> int | None:
    """Read a number from a file, or from its line that begins with ``key``."""
    try:
        text = (place.group.folder(controller) / file).read_text()
        if key:
            text = dict(line.split(None, 1) for line in text.splitlines())[key]
        return int(text)
    except (OSError, KeyError, ValueError):
        return None


_READERS: dict[str, Callable[[Place], Reading]] = {
    "kmemsize": _kmemsize,
    "lockedpages": _lockedpages,
    "privvmpages": _privvmpages,
    "shmpages": _shmpages,
    "numproc": _numproc,
    "physpages": _physpages,
    "oomguarpages": _oomguarpages,
    "numtcpsock": _numtcpsock,
    "numflock": _numflock,
    "numpty": _numpty,
    "numsiginfo": _numsiginfo,
    "tcpsndbuf": _tcp_buffers,
    "tcprcvbuf": _tcp_buffers,
    "numothersock": _numothersock,
    "dcachesize": _dcachesize,
    "numfile": _numfile,
    "swappages": _swappages,
}
