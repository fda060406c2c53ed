"""What a VE's configuration says of its disk: layout, space, inodes, quotas.

Source: vzctl's ``src/lib/config.c`` and ``man vzctl``: space in KB, ``soft:hard``.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes, units, variables
from vztmpl.ve.units import Unit

LAYOUTS = ("overlay", "simfs", "btrfs", "ploop")
_PLOOP_FORMATS = ("expanded", "plain", "raw")


class Disk(NamedTuple):
    """The disk of one VE."""

    layout: str = LAYOUTS[0]
    """What a new private area gets; an area that is there says itself what it is."""
    space_kb: tuple[int, int] | None = None
    """Soft and hard limit; None: not set."""
    inodes: tuple[int, int] | None = None
    quotatime_seconds: int = 0
    quotaugidlimit: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> "Disk":
        """Read the variables of a conf file; VEError when a value makes no sense."""
        return cls(
            layout=layout(values.get("VE_LAYOUT") or LAYOUTS[0]),
            space_kb=_pair(values, "DISKSPACE", space),
            inodes=_pair(values, "DISKINODES", inodes),
            quotatime_seconds=variables.whole("QUOTATIME", values.get("QUOTATIME") or "0"),
            quotaugidlimit=variables.whole("QUOTAUGIDLIMIT", values.get("QUOTAUGIDLIMIT") or "0"),
        )

    @property
    def hard_kb(self) -> int:
        """The hard limit of space; 0 is none."""
        return _limit(self.space_kb)

    @property
    def bounded(self) -> bool:
        """Whether space or inodes have a limit."""
        return bool(self.hard_kb or self.hard_inodes)

    @property
    def hard_inodes(self) -> int:
        """The hard limit of inodes; 0 is none."""
        return _limit(self.inodes)


def layout(text: str) -> str:
    """Check a layout; after ``ploop:`` OpenVZ has the image's format, which is always raw here."""
    name, _, form = text.partition(":")
    if name not in LAYOUTS or (form and (name != "ploop" or form not in _PLOOP_FORMATS)):
        raise VEError(
            f"{text!r} is not a layout",
            vz_code=codes.INVALID_PARAMETER_VALUE,
            hint=f"one of {', '.join(LAYOUTS)}",
        )
    return name


def space(text: str) -> tuple[int, int]:
    """Read ``soft:hard`` in KB; either may have a suffix (``2.2G``) or be ``unlimited``."""
    return _ordered(text, units.pair(text, Unit.KILOBYTES))


def inodes(text: str) -> tuple[int, int]:
    """Read ``soft:hard`` of inodes."""
    return _ordered(text, units.pair(text, Unit.NUMBER))


def _ordered(text: str, pair: tuple[int, int]) -> tuple[int, int]:
    if not 0 < pair[0] <= pair[1]:
        raise VEError(
            f"{text!r}: the soft limit has to be over 0 and not over the hard limit",
            vz_code=codes.INVALID_PARAMETER_VALUE,
        )
    return pair


def _pair(
    values: Mapping[str, str], name: str, read: Callable[[str], tuple[int, int]]
) -> tuple[int, int] | None:
    return read(values[name]) if values.get(name) else None


def _limit(pair: tuple[int, int] | None) -> int:
    return 0 if pair is None or pair[1] == units.UNLIMITED else pair[1]
