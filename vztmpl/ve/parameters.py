"""The parameters of ``vzctl set`` and ``create``: option, conf variable, and what may be given.

Each parser takes what the user typed and returns what is written into the conf file. A value is
put between double quotes in a file that shells source, so nothing a shell would expand gets in.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes, units

_UNSAFE = re.compile(r'[\x00-\x1f\x7f"$`\\]')
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _.+-]{0,254}")
_MAX_HOSTNAME = 64  # the kernel's own limit, utsname


class Parameter(NamedTuple):
    """One thing that can be set."""

    option: str
    """As typed after ``--``."""
    variable: str
    """In the conf file."""
    parse: Callable[[str], str]
    value: str
    """What a value looks like, for the help."""
    help: str


def _text(text: str) -> str:
    if _UNSAFE.search(text) or "\udc80" <= max(text, default="") <= "\udcff":
        raise _wrong(text, "must be plain text without quotes, $, ` or \\")
    return text


def _yes_no(text: str) -> str:
    if text not in ("yes", "no"):
        raise _wrong(text, "must be yes or no")
    return text


def _whole(least: int, most: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise _wrong(text, f"must be a number from {least} to {most}")
        return str(int(text))

    return parse


def _pages(text: str) -> str:
    return units.write_pair(units.pair_of_pages(text))


def _count(text: str) -> str:
    pair = units.pair_of_numbers(text)
    if pair[1] == 0:
        raise _wrong(text, "would allow nothing at all")
    return units.write_pair(pair)


def _cpulimit(text: str) -> str:
    return _whole(0, 100_000)(text.removesuffix("%"))


def _hostname(text: str) -> str:
    if len(text) > _MAX_HOSTNAME or not _HOSTNAME.fullmatch(text):
        raise _wrong(text, "is not a host name", codes.BADHOSTNAME)
    return text


def _name(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        problem = "must begin with a letter; letters, digits, blanks and -+_. may follow"
        raise _wrong(text, problem, codes.SET_NAME_ERROR)
    return text


def address(text: str) -> str:
    """Check an address; ``/32`` and ``/128`` are what every VE has anyway and are dropped."""
    plain, slash, prefix = text.partition("/")
    try:
        parsed = ip_address(plain)
    except ValueError as error:
        raise _wrong(text, "is not an IP address", codes.BADIP) from error
    if slash and prefix != str(parsed.max_prefixlen):
        raise _wrong(text, f"venet gives single addresses (/{parsed.max_prefixlen})", codes.BADIP)
    if parsed.is_unspecified or parsed.is_multicast or parsed.is_loopback:
        raise _wrong(text, "can't be the address of a VE", codes.BADIP)
    return str(parsed)


def _nameserver(text: str) -> str:
    try:
        return str(ip_address(text)) if text != "inherit" else text
    except ValueError as error:
        raise _wrong(text, "is not an IP address, nor `inherit`", codes.BADDNSSRV) from error


def _search_domain(text: str) -> str:
    if not _HOSTNAME.fullmatch(text):
        raise _wrong(text, "is not a domain", codes.BADDNSSEARCH)
    return text


PARAMETERS = (
    Parameter("hostname", "HOSTNAME", _hostname, "NAME", "host name of the VE"),
    Parameter("name", "NAME", _name, "NAME", "name that vzctl takes in place of the CTID"),
    Parameter("description", "DESCRIPTION", _text, "TEXT", "for people"),
    Parameter("physpages", "PHYSPAGES", _pages, "PAGES", "memory: pages, or 256M, or unlimited"),
    Parameter("swappages", "SWAPPAGES", _pages, "PAGES", "swap on top of the memory"),
    Parameter("numproc", "NUMPROC", _count, "NUM", "processes and threads"),
    Parameter("cpuunits", "CPUUNITS", _whole(8, 500_000), "NUM", "CPU weight; 1000 is usual"),
    Parameter("cpulimit", "CPULIMIT", _cpulimit, "N[%]", "percent of one CPU; 0 is no limit"),
    Parameter("onboot", "ONBOOT", _yes_no, "yes|no", "start with the node"),
    Parameter("disabled", "DISABLED", _yes_no, "yes|no", "refuse to start"),
    Parameter("stop-timeout", "STOP_TIMEOUT", _whole(1, 86_400), "SECONDS", "before it is killed"),
)
LISTS = (
    Parameter("nameserver", "NAMESERVER", _nameserver, "ADDRESS", "DNS server; may be repeated"),
    Parameter("searchdomain", "SEARCHDOMAIN", _search_domain, "DOMAIN", "may be repeated"),
)
ADDRESS = Parameter("ipadd", "IP_ADDRESS", address, "ADDRESS", "give the VE an address")


def _wrong(text: str, problem: str, code: int = codes.INVALID_PARAMETER_VALUE) -> VEError:
    return VEError(f"{text!r} {problem}", vz_code=code)
