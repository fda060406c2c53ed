"""The text of /proc/user_beancounters and /proc/bc/<CTID>/resources.

Format: OpenVZ's ``kernel/bc/proc.c`` (64 bit). It has no word for "not counted": that is a zero
here, and the most so far is then what is held.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vztmpl.ve import beancounters
from vztmpl.ve.config import VEConfig
from vztmpl.ve.readings import Place, Reading, reading
from vztmpl.ve.units import Pair

NAMES = [each.name for each in beancounters.TABLE]
_HEADER = "{:>10}  {:<12} {:>20} {:>20} {:>20} {:>20} {:>20}"
_VERSION = "Version: 2.5"
_DUMMY = "dummy"
_OLD_ORDER = (
    "kmemsize", "lockedpages", "privvmpages", "shmpages", _DUMMY, "numproc", "physpages",
    "vmguarpages", "oomguarpages", "numtcpsock", "numflock", "numpty", "numsiginfo", "tcpsndbuf",
    "tcprcvbuf", "othersockbuf", "dgramrcvbuf", "numothersock", "dcachesize", "numfile", _DUMMY,
    _DUMMY, _DUMMY, "numiptent",
)  # fmt: skip


class Row(NamedTuple):
    """One parameter of one VE."""

    read: Reading
    bounds: Pair


Rows = Mapping[str, Row]


def rows(config: VEConfig, place: Place | None) -> dict[str, Row]:
    """Return all beancounters of a VE; without a place it does not run and holds nothing."""
    given, factor = config.beancounters, config.vm_overcommit
    return {
        name: Row(
            reading(place, name) if place else Reading(), beancounters.bounds(given, name, factor)
        )
        for name in NAMES
    }


def user_beancounters(blocks: Iterable[tuple[int, Rows]]) -> str:
    """Return what /proc/user_beancounters would say of these VEs: 24 rows each."""
    return _text(blocks, _OLD_ORDER)


def resources(blocks: Iterable[tuple[int, Rows]]) -> str:
    """Return what /proc/bc/<CTID>/resources would say: 21 rows, swappages among them."""
    return _text(blocks, NAMES)


def _text(blocks: Iterable[tuple[int, Rows]], names: Sequence[str]) -> str:
    titles = ("uid", "resource", "held", "maxheld", "barrier", "limit", "failcnt")
    lines = [_VERSION, _HEADER.format(*titles)]
    for ctid, found in blocks:
        for index, name in enumerate(names):
            uid = f"{ctid}:" if index == 0 else ""
            numbers = (0,) * 5 if name == _DUMMY else _numbers(found[name])
            lines.append(_HEADER.format(uid, name, *numbers))
    return "".join(f"{line}\n" for line in lines)


def _numbers(row: Row) -> tuple[int, int, int, int, int]:
    held, maxheld, failcnt = row.read
    return held or 0, max(held or 0, maxheld or 0), *row.bounds, failcnt or 0
