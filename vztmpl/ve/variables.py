"""Single values of a conf file, read or checked; VEError naming the variable of a wrong one."""

from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.units import UNLIMITED


def whole(name: str, text: str) -> int:
    """Read a number."""
    if not (text.isascii() and text.isdigit()):
        raise VEError(f'{name}="{text}" is not a number', vz_code=codes.INVALID_CONFIG)
    return int(text)


def factor(name: str, text: str) -> float:
    """Read a factor, which may have a fraction."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < UNLIMITED:  # neither negative nor nan nor infinite
        raise VEError(f'{name}="{text}" is not a factor', vz_code=codes.INVALID_CONFIG)
    return number


def mask(name: str, text: str) -> str:
    """Check a list of CPUs or nodes."""
    ranges = [part.split("-") for part in text.split(",")]
    if text in ("", "all", "auto") or all(
        len(ends) <= 2 and all(end.isascii() and end.isdigit() for end in ends)  # noqa: PLR2004
        for ends in ranges
    ):
        return text
    raise VEError(f'{name}="{text}" is not a list as 0-3,6', vz_code=codes.INVALID_CONFIG)
