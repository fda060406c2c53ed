"""OpenVZ's numbers: ``barrier:limit`` pairs, suffixes, pages, ``unlimited``.

Source: vzctl's ``src/lib/config.c`` (parse_ul_sfx, parse_twoul_sfx). A page has 4096 bytes here
as there, whatever the machine's own page size.
"""

import math
from enum import StrEnum

from vztmpl.errors import VEError
from vztmpl.ve import codes

PAGE_BYTES = 4096
UNLIMITED = 2**63 - 1  # LONG_MAX, as OpenVZ writes it into conf files
_SUFFIX_BYTES = {"B": 1, "K": 1 << 10, "P": PAGE_BYTES, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

Pair = tuple[int, int]
"""Barrier and limit."""


class Unit(StrEnum):
    """What a parameter is counted in."""

    PAGES = "pages"
    KILOBYTES = "kilobytes"
    BYTES = "bytes"
    NUMBER = "number"


_UNIT_BYTES = {Unit.PAGES: PAGE_BYTES, Unit.KILOBYTES: 1024, Unit.BYTES: 1, Unit.NUMBER: 0}


def pair(text: str, unit: Unit) -> Pair:
    """Read ``barrier:limit``; one value is both. Numbers of things take no suffix."""
    barrier, colon, limit = text.partition(":")
    first = _number(barrier, _UNIT_BYTES[unit])
    return (first, _number(limit, _UNIT_BYTES[unit])) if colon else (first, first)


def size_bytes(text: str) -> int:
    """Read an amount of memory; without a suffix it is in bytes."""
    return _number(text, 1)


def pages(bytes_: int) -> int:
    """Return how many pages hold so many bytes."""
    return UNLIMITED if bytes_ == UNLIMITED else -(-bytes_ // PAGE_BYTES)


def bytes_of(pages_: int) -> int:
    """Return how many bytes so many pages have."""
    return UNLIMITED if pages_ >= UNLIMITED // PAGE_BYTES else pages_ * PAGE_BYTES


def write_pair(pair: Pair) -> str:
    """Write a pair the way every client can read it: plain numbers."""
    return f"{pair[0]}:{pair[1]}"


def short(number: int, unit: Unit) -> str:
    """Write an amount for people: ``256M``, ``1.5G``, ``240``, ``-`` for unlimited."""
    if number == UNLIMITED:
        return "-"
    if unit is Unit.NUMBER:
        return str(number)
    size = bytes_of(number) if unit is Unit.PAGES else number
    for suffix in "TGMK":
        if size >= _SUFFIX_BYTES[suffix]:
            return f"{size / _SUFFIX_BYTES[suffix]:.3g}{suffix}"
    return str(size)


def _number(word: str, unit_bytes: int) -> int:
    """Read a number; with a unit, a suffix turns bytes into units, rounding up."""
    if word == "unlimited":
        return UNLIMITED
    suffix, digits = word[-1:].upper(), word[:-1].replace(".", "", 1)
    if word.isascii() and word.isdigit():
        return min(int(word), UNLIMITED)
    if unit_bytes and suffix in _SUFFIX_BYTES and digits.isascii() and digits.isdigit():
        amount_bytes = float(word[:-1]) * _SUFFIX_BYTES[suffix]
        return UNLIMITED if amount_bytes > UNLIMITED else math.ceil(amount_bytes / unit_bytes)
    kinds = "a number, with K, M, G, T or P (pages) behind it" if unit_bytes else "a whole number"
    raise VEError(
        f"{word!r} is not {kinds}, nor `unlimited`", vz_code=codes.INVALID_PARAMETER_VALUE
    )
