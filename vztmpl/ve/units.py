"""OpenVZ's numbers: ``barrier:limit`` pairs, suffixes, pages, ``unlimited``.

Source: vzctl's ``src/lib/config.c`` (parse_ul_sfx, parse_twoul_sfx). A page has 4096 bytes here
as there, whatever the machine's own page size.
"""

import math

from vztmpl.errors import VEError
from vztmpl.ve import codes

PAGE_BYTES = 4096
UNLIMITED = 2**63 - 1  # LONG_MAX, as OpenVZ writes it into conf files
_SUFFIX_BYTES = {"B": 1, "K": 1 << 10, "P": PAGE_BYTES, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def pair_of_pages(text: str) -> tuple[int, int]:
    """Read ``barrier:limit`` in pages; either may have a suffix (``256M``) or be ``unlimited``."""
    return _pair(text, PAGE_BYTES)


def pair_of_numbers(text: str) -> tuple[int, int]:
    """Read ``barrier:limit`` of things that are counted; no suffixes."""
    return _pair(text, 0)


def write_pair(pair: tuple[int, int]) -> str:
    """Write a pair the way every client can read it: plain numbers."""
    return f"{pair[0]}:{pair[1]}"


def _pair(text: str, unit_bytes: int) -> tuple[int, int]:
    barrier, colon, limit = text.partition(":")
    first = _number(barrier, unit_bytes)
    return (first, _number(limit, unit_bytes)) if colon else (first, first)


def _number(word: str, unit_bytes: int) -> int:
    """Read a number; with a unit, a suffix turns bytes into units, rounding up."""
    if word == "unlimited":
        return UNLIMITED
    suffix, digits = word[-1:].upper(), word[:-1].replace(".", "", 1)
    if word.isascii() and word.isdigit():
        return min(int(word), UNLIMITED)
    if unit_bytes and suffix in _SUFFIX_BYTES and digits.isascii() and digits.isdigit():
        size_bytes = float(word[:-1]) * _SUFFIX_BYTES[suffix]
        return UNLIMITED if size_bytes > UNLIMITED else math.ceil(size_bytes / unit_bytes)
    kinds = "a number, with K, M, G, T or P (pages) behind it" if unit_bytes else "a whole number"
    raise VEError(
        f"{word!r} is not {kinds}, nor `unlimited`", vz_code=codes.INVALID_PARAMETER_VALUE
    )
