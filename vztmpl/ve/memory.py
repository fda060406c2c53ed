"""Memory limits of a VE as cgroup files: RAM, swap, and what is protected from reclaim.

Sources: cgroup-v2.rst and cgroup-v1/memory.rst of the kernel; the mapping follows vzctl's upstream
backend (v1) and libvzctl (v2).
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vztmpl.ve import beancounters
from vztmpl.ve.cgroup import Setting
from vztmpl.ve.units import UNLIMITED, Pair, bytes_of

_PROTECTIONS = {"vmguarpages": "memory.low", "oomguarpages": "memory.min"}


def limits(given: Mapping[str, Pair], *, unified: bool) -> list[Setting]:
    """Return the bounds of memory and swap, in the order in which they have to be written.

    Without a limit on physpages it is privvmpages that bounds the memory, as before VSwap.
    """
    if beancounters.has_vswap(given):
        name = "physpages"
        high, top = UNLIMITED, bytes_of(beancounters.limit(given, name))
        swap = bytes_of(beancounters.limit(given, "swappages"))
    else:
        name = "privvmpages"
        high, top = (bytes_of(pages) for pages in given.get(name, (UNLIMITED, UNLIMITED)))
        both = UNLIMITED if top == UNLIMITED else 0
        swap = bytes_of(given["swappages"][1]) if "swappages" in given else both
    return _v2(name, high, top, swap) if unified else _v1(name, top, swap)


def protections(given: Mapping[str, Pair], *, unified: bool) -> list[Setting]:
    """Return what of its memory a VE keeps when the host is short of it."""
    if unified:
        return [
            Setting("memory", file, _or(_guarantee(given, name), "max"), name)
            for name, file in _PROTECTIONS.items()
        ]
    soft = _guarantee(given, "vmguarpages") or UNLIMITED
    return [Setting("memory", "memory.soft_limit_in_bytes", _or(soft, "-1"), "vmguarpages")]


def tcp_buffers(given: Mapping[str, Pair], *, unified: bool) -> list[Setting]:
    """Return the bound of all TCP buffers together, which only cgroup v1 has."""
    if unified:
        return []
    names = ("tcpsndbuf", "tcprcvbuf")
    both = min(sum(beancounters.limit(given, name) for name in names), UNLIMITED)
    return [Setting("memory", "memory.kmem.tcp.limit_in_bytes", _or(both, "-1"), "tcprcvbuf")]


def protect_parent(parent: Path) -> None:
    """Let the group of all VEs be protected by as much as they are together (cgroup v2).

    The kernel protects a group only within what its parent is protected by.
    """
    for file in _PROTECTIONS.values():
        total = 0
        for path in parent.glob(f"*/{file}"):
            with suppress(FileNotFoundError):  # a VE just stopped
                word = path.read_text().strip()
                total += UNLIMITED if word == "max" else int(word)
        (parent / file).write_text(_or(min(total, UNLIMITED), "max"))


def _v2(name: str, high: int, top: int, swap: int) -> list[Setting]:
    return [
        Setting("memory", "memory.max", _or(top, "max"), name),
        Setting("memory", "memory.high", "max" if high >= top else str(high), name),
        Setting("memory", "memory.swap.max", _or(swap, "max"), "swappages"),
    ]


def _v1(name: str, top: int, swap: int) -> list[Setting]:
    both = UNLIMITED if UNLIMITED in (top, swap) else min(top + swap, UNLIMITED)
    return [
        # memsw may never be below the limit, so it is lifted while the limit moves
        Setting("memory", "memory.memsw.limit_in_bytes", "-1", "swappages"),
        Setting("memory", "memory.limit_in_bytes", _or(top, "-1"), name),
        Setting("memory", "memory.memsw.limit_in_bytes", _or(both, "-1"), "swappages"),
    ]


def _guarantee(given: Mapping[str, Pair], name: str) -> int:
    return bytes_of(given[name][0]) if name in given else 0


def _or(number: int, unlimited: str) -> str:
    return unlimited if number == UNLIMITED else str(number)
