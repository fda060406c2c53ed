"""The user beancounters: OpenVZ's resource parameters, and how far a mainline kernel keeps each.

Order and units: OpenVZ's ``include/bc/beancounter.h``; meaning: wiki.openvz.org/UBC. The mechanism
behind each is in docs/resources.md; the marks here are what ``vzctl`` tells the user.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from vztmpl.ve.units import UNLIMITED, Pair, Unit


class Fidelity(StrEnum):
    """How far a limit is what it was under OpenVZ."""

    EXACT = "exact"
    PARTIAL = "partial"
    ACCOUNTING = "accounting"
    NONE = "none"


_E, _P, _A, _N = Fidelity.EXACT, Fidelity.PARTIAL, Fidelity.ACCOUNTING, Fidelity.NONE
_PAGES, _BYTES, _NUMBER = Unit.PAGES, Unit.BYTES, Unit.NUMBER


class Beancounter(NamedTuple):
    """One parameter."""

    name: str
    unit: Unit
    column: str
    """Its header in vzlist."""
    v2: Fidelity
    """On a host whose controllers are cgroup v2's."""
    v1: Fidelity
    """On a host with cgroup v1, or with both."""
    help: str
    why: str = ""
    """Why it is not enforced, where it is not."""


TABLE = (
    Beancounter("kmemsize", _BYTES, "KMEMSIZE", _A, _A, "kernel memory of its processes",
                "kernel memory counts into physpages, and the kernel bounds only the sum"),
    Beancounter("lockedpages", _PAGES, "LOCKEDP", _P, _P, "memory locked by mlock"),
    Beancounter("privvmpages", _PAGES, "PRIVVMP", _P, _P, "private memory, when there is no --ram",
                "with a limit on physpages that one and swappages bound the memory in use,"
                " and the kernel bounds no promises"),
    Beancounter("shmpages", _PAGES, "SHMP", _P, _P, "shared memory"),
    Beancounter("numproc", _NUMBER, "NPROC", _E, _E, "processes and threads"),
    Beancounter("physpages", _PAGES, "PHYSP", _E, _E, "memory (the limit; see --ram)"),
    Beancounter("vmguarpages", _PAGES, "VMGUARP", _P, _P, "memory that is reclaimed last"),
    Beancounter("oomguarpages", _PAGES, "OOMGUARP", _P, _N, "memory that is never reclaimed",
                "cgroup v1 has nothing that protects a group from the OOM killer"),
    Beancounter("numtcpsock", _NUMBER, "NTCPSOCK", _P, _P, "TCP sockets"),
    Beancounter("numflock", _NUMBER, "NFLOCK", _A, _A, "file locks",
                "the kernel bounds file locks of no group of processes"),
    Beancounter("numpty", _NUMBER, "NPTY", _E, _E, "pseudo-terminals"),
    Beancounter("numsiginfo", _NUMBER, "NSIGINFO", _E, _E, "queued signals"),
    Beancounter("tcpsndbuf", _BYTES, "TCPSNDB", _P, _P, "send buffers of TCP"),
    Beancounter("tcprcvbuf", _BYTES, "TCPRCVB", _P, _P, "receive buffers of TCP"),
    Beancounter("othersockbuf", _BYTES, "OTHSOCKB", _N, _N, "buffers of other sockets",
                "the kernel bounds them for the whole host only; they count into physpages"),
    Beancounter("dgramrcvbuf", _BYTES, "DGRAMRB", _N, _N, "receive buffers of datagram sockets",
                "the kernel bounds them for the whole host only; they count into physpages"),
    Beancounter("numothersock", _NUMBER, "NOTHSOCK", _P, _P, "sockets other than TCP"),
    Beancounter("dcachesize", _BYTES, "DCACHESZ", _A, _N, "the kernel's cache of file names",
                "it counts into physpages, and the kernel bounds only the sum"),
    Beancounter("numfile", _NUMBER, "NFILE", _P, _P, "open files"),
    Beancounter("numiptent", _NUMBER, "NIPTENT", _N, _N, "netfilter rules",
                "the kernel does not count rules; their memory counts into physpages"),
    Beancounter("swappages", _PAGES, "SWAPP", _E, _P, "swap on top of the memory",
                "cgroup v1 bounds memory and swap together, so physpages must be set too"),
)  # fmt: skip
"""In the order of /proc/bc/<CTID>/resources."""

AVNUMPROC = Beancounter(
    "avnumproc", _NUMBER, "AVNUMPROC", _N, _N, "usual number of processes, for calculations",
    "it never bounded anything: calculations with configurations use it",
)  # fmt: skip
BY_NAME: Mapping[str, Beancounter] = {each.name: each for each in (*TABLE, AVNUMPROC)}
GUARANTEES = ("vmguarpages", "oomguarpages")
"""Their barrier is what counts."""
ALIASES = {"DCACHE": "DCACHESIZE", "IPTENTRIES": "NUMIPTENT"}
"""Old names of conf variables."""


def limit(given: Mapping[str, Pair], name: str) -> int:
    """Return the limit of a parameter; UNLIMITED when it is not set."""
    return given[name][1] if name in given else UNLIMITED


def barrier(given: Mapping[str, Pair], name: str) -> int:
    """Return the barrier of a parameter; UNLIMITED when it is not set."""
    return given[name][0] if name in given else UNLIMITED


def has_vswap(given: Mapping[str, Pair]) -> bool:
    """Say whether memory is bounded by physpages and swappages alone, OpenVZ's VSwap mode."""
    return limit(given, "physpages") != UNLIMITED


def bounds(given: Mapping[str, Pair], name: str, vm_overcommit: float) -> Pair:
    """Return barrier and limit; one that is not set follows from the memory in VSwap mode.

    Source: vzctl's ``src/lib/ub.c``, fill_vswap_ub. What is filled in is shown, and drives no
    mechanism of its own: the limit of the memory is in force already.
    """
    if name in given:
        return given[name]
    if not has_vswap(given):
        return (0 if name in GUARANTEES else UNLIMITED), UNLIMITED
    ram = limit(given, "physpages")
    both = min(ram + limit(given, "swappages"), UNLIMITED)
    promised = UNLIMITED
    if vm_overcommit and both != UNLIMITED:
        promised = min(int(both * vm_overcommit), UNLIMITED)
    filled = {
        "lockedpages": (ram, ram),
        "oomguarpages": (ram, UNLIMITED),
        "vmguarpages": (both, UNLIMITED),
        "privvmpages": (promised, promised),
    }
    return filled.get(name, (UNLIMITED, UNLIMITED))


def fidelity(given: Mapping[str, Pair], name: str, *, unified: bool) -> Fidelity:
    """Return how far a host of either kind keeps a limit, beside the others that are set."""
    each = BY_NAME[name]
    vswap = has_vswap(given)
    if (name == "privvmpages" and vswap) or (name == "swappages" and not vswap and not unified):
        return Fidelity.ACCOUNTING
    return each.v2 if unified else each.v1


def not_enforced(
    given: Mapping[str, Pair], names: Iterable[str], *, unified: bool
) -> dict[str, str]:
    """Return which of these parameters bound nothing although they are set, and why."""
    found = {}
    for name in names:
        bounds_nothing = given[name] == (UNLIMITED, UNLIMITED) or (
            name in GUARANTEES and given[name][0] == 0
        )
        if not bounds_nothing and fidelity(given, name, unified=unified) in (_A, _N):
            found[name] = BY_NAME[name].why
    return found
