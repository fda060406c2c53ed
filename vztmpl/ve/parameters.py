"""The parameters of ``vzctl set`` and ``create``: option, conf variable, and what may be given.

Each parser takes what the user typed and returns what is written into the conf file. A value is
put between double quotes in a file that shells source, so nothing a shell would expand gets in.
"""

import os
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import beancounters, codes, disk, units
from vztmpl.ve.beancounters import Beancounter

_UNSAFE = re.compile(r'[\x00-\x1f\x7f"$`\\]')
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _.+-]{0,254}")
_LIST = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*")  # cpuset(7), list format
_MAX_IOLIMIT = (2 << 30) - 1
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
    letter: str = ""
    """As typed after ``-``."""


def plain(text: str) -> str:
    """Check what people may write: nothing that a shell would expand."""
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


def _pair(counter: Beancounter) -> Callable[[str], str]:
    def parse(text: str) -> str:
        barrier, limit = units.pair(text, counter.unit)
        if limit == 0 and counter.name in ("numproc", "physpages", "privvmpages"):
            raise _wrong(text, "would allow nothing at all")
        if barrier > limit:
            raise _wrong(text, "has a barrier over its limit")
        return units.write_pair((barrier, limit))

    return parse


def _memory(text: str) -> str:
    size_bytes = units.size_bytes(text)
    return units.write_pair((0, units.pages(size_bytes)))


def _ram(text: str) -> str:
    if units.size_bytes(text) == 0:
        raise _wrong(text, "would allow nothing at all")
    return _memory(text)


def _factor(text: str) -> str:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII):
        raise _wrong(text, "must be a factor, as 1.5")
    return text


def _space(text: str) -> str:
    return units.write_pair(disk.space(text))


def _inodes(text: str) -> str:
    return units.write_pair(disk.inodes(text))


def path(text: str) -> str:
    """Check a path for VE_PRIVATE or VE_ROOT; ``$VEID`` in it stands for the CTID."""
    plain(text.replace("$VEID", ""))
    if not text.startswith("/") or ".." in text.split("/"):
        raise _wrong(text, "must be an absolute path without ..")
    return text


def _cpulimit(text: str) -> str:
    if text.endswith("%"):  # of the whole node, as in vzctl's parse_cpulimit
        return str(int(_whole(0, 100)(text[:-1])) * (os.cpu_count() or 1))
    return _whole(0, 100_000)(text)


def _mask(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in words or _LIST.fullmatch(text):
            return text
        raise _wrong(text, f"must be numbers as 0-3,6 or {' or '.join(words)}")

    return parse


def _iolimit(text: str) -> str:
    """Read megabytes a second, or what the suffix says; bytes in the conf, as in vzctl."""
    limit_bytes = units.size_bytes(f"{text}M" if text[-1:].isdigit() else text)
    if limit_bytes > _MAX_IOLIMIT:
        raise _wrong(text, "is over 2 GB a second")
    return str(limit_bytes)


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


_LETTERS = {
    "kmemsize": "k", "lockedpages": "l", "numproc": "p", "numflock": "f", "numpty": "t",
    "numsiginfo": "i", "tcprcvbuf": "b", "numiptent": "e", "numfile": "n", "dcachesize": "x",
}  # fmt: skip
_VALUES = {units.Unit.PAGES: "PAGES", units.Unit.BYTES: "BYTES", units.Unit.NUMBER: "NUM"}


def _beancounter(each: Beancounter) -> Parameter:
    letter = _LETTERS.get(each.name, "")
    return Parameter(
        each.name, each.name.upper(), _pair(each), _VALUES[each.unit], each.help, letter
    )


PARAMETERS = (
    Parameter("hostname", "HOSTNAME", _hostname, "NAME", "host name of the VE"),
    Parameter("name", "NAME", _name, "NAME", "name that vzctl takes in place of the CTID"),
    Parameter("description", "DESCRIPTION", plain, "TEXT", "for people"),
    Parameter("ram", "PHYSPAGES", _ram, "BYTES", "memory, as 512M"),
    Parameter("swap", "SWAPPAGES", _memory, "BYTES", "swap on top of it"),
    Parameter(
        "vm_overcommit", "VM_OVERCOMMIT", _factor, "X", "shown privvmpages: X * (ram + swap)"
    ),
    *(_beancounter(each) for each in beancounters.BY_NAME.values()),
    Parameter("cpuunits", "CPUUNITS", _whole(8, 500_000), "NUM", "CPU weight; 1000 is usual"),
    Parameter(
        "cpulimit", "CPULIMIT", _cpulimit, "N[%]", "percent of a CPU (N%: of all); 0 is none"
    ),
    Parameter("cpus", "CPUS", _whole(0, 4096), "NUM", "CPUs that it sees and uses; 0 is all"),
    Parameter("cpumask", "CPUMASK", _mask("auto", "all"), "LIST|auto|all", "CPUs it may use"),
    Parameter("nodemask", "NODEMASK", _mask("all"), "LIST|all", "NUMA nodes it may use"),
    Parameter("ioprio", "IOPRIO", _whole(0, 7), "0-7", "weight for the disk; 4 is usual"),
    Parameter("iolimit", "IOLIMIT", _iolimit, "N[BKMG]", "megabytes a second; 0 is no limit"),
    Parameter("iopslimit", "IOPSLIMIT", _whole(0, 2**31 - 1), "NUM", "disk requests a second"),
    Parameter("diskspace", "DISKSPACE", _space, "SOFT[:HARD]", "disk: KB, or 2G:2.2G"),
    Parameter("diskinodes", "DISKINODES", _inodes, "SOFT[:HARD]", "files, folders, links"),
    Parameter("quotatime", "QUOTATIME", _whole(0, 1 << 31), "SECONDS", "over the soft limit"),
    Parameter("quotaugidlimit", "QUOTAUGIDLIMIT", _whole(0, 1 << 31), "NUM", "users with quotas"),
    Parameter("private", "VE_PRIVATE", path, "PATH", "private area; $VEID is the CTID"),
    Parameter("root", "VE_ROOT", path, "PATH", "where its root is mounted"),
    Parameter("onboot", "ONBOOT", _yes_no, "yes|no", "start with the node"),
    Parameter("bootorder", "BOOTORDER", _whole(0, 2**31 - 1), "NUM", "higher ones start first"),
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
