"""A VE's Ethernet interfaces as its conf has them: the syntax of NETIF and ``--netif_add``.

``NETIF="ifname=eth0,bridge=br0,mac=…,host_ifname=…,host_mac=…,mac_filter=on;ifname=eth1,…"``, as
vzctl's ``store_netif`` writes it and libvirt reads it.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes

_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_ORDER = ("ifname", "bridge", "mac", "host_ifname", "host_mac", "mac_filter")


class Interface(NamedTuple):
    """One link of Ethernet between a VE and its host."""

    ifname: str
    """What the VE calls it."""
    mac: str
    host_ifname: str
    """What the host calls its end."""
    host_mac: str
    bridge: str
    """The host's bridge that its end is a port of; empty: none."""
    mac_filter: bool
    """Whether only frames with the VE's own address are taken from it."""


def read(text: str, ctid: int) -> tuple[Interface, ...]:
    """Read the value of NETIF."""
    found: list[Interface] = []
    for part in filter(None, text.split(";")):
        words = dict(_pair(word) for word in part.split(",") if word)
        found.append(_made(words, found, ctid))
    return tuple(found)


def write(interfaces: Sequence[Interface]) -> str:
    """Write the value of NETIF."""
    return ";".join(_written(one) for one in interfaces)


def added(interfaces: Sequence[Interface], text: str, ctid: int) -> tuple[Interface, ...]:
    """Add ``ifname[,mac,host_ifname,host_mac,bridge]``; empty words get a value of their own."""
    names = ("ifname", "mac", "host_ifname", "host_mac", "bridge")
    words = text.split(",")
    if len(words) > len(names):
        raise _wrong(text, f"is not {','.join(names)}")
    given = {name: word for name, word in zip(names, words, strict=False) if word}
    return (*interfaces, _made(given, interfaces, ctid))


def removed(interfaces: Sequence[Interface], name: str) -> tuple[Interface, ...]:
    """Take the interface of that name away, or ``all``."""
    if name == "all":
        return ()
    _named(interfaces, name)
    return tuple(one for one in interfaces if one.ifname != name)


def edited(
    interfaces: Sequence[Interface], name: str, changes: Sequence[tuple[str, str]], ctid: int
) -> tuple[Interface, ...]:
    """Change the interface of that name: ``mac``, ``host_ifname``, ``host_mac``, …."""
    old = _named(interfaces, name)
    others = [one for one in interfaces if one is not old]
    words = dict(_pair(word) for word in _written(old).split(","))
    new = _made({**words, **dict(changes)}, others, ctid)
    return tuple(new if one is old else one for one in interfaces)


def check_name(name: str) -> str:
    """Return the name of an interface, if it can be one."""
    if not _NAME.fullmatch(name):
        raise _wrong(name, "is not the name of an interface")
    return name


def host_mac(mac: str) -> str:
    """Return an address for the host's end: a high one, so that no bridge takes it for its own."""
    return f"fe{mac[2:]}"


def _named(interfaces: Sequence[Interface], name: str) -> Interface:
    for one in interfaces:
        if one.ifname == name:
            return one
    raise VEError(
        f"the container has no interface {name!r}",
        vz_code=codes.VETH_ERROR,
        hint=f"it has: {' '.join(one.ifname for one in interfaces) or 'none'}",
    )


def _made(words: dict[str, str], others: Sequence[Interface], ctid: int) -> Interface:
    """Make an interface of its words; what is missing is chosen, what makes no sense refused."""
    mac = words.get("mac") or _new_mac()
    free = (f"{_host_name(ctid)}.{number}" for number in range(len(others) + 1))
    taken = {one.host_ifname for one in others}
    new = Interface(
        ifname=words.get("ifname", ""),
        mac=mac.lower(),
        host_ifname=words.get("host_ifname") or next(name for name in free if name not in taken),
        host_mac=(words.get("host_mac") or host_mac(mac)).lower(),
        bridge=words.get("bridge", ""),
        mac_filter=words.get("mac_filter", "on") == "on",
    )
    _check(new, words, others)
    return new


def _host_name(ctid: int) -> str:
    return f"veth{ctid}" if ctid < 10**9 else f"ve{ctid}"  # of 15 letters at most


def _check(new: Interface, words: dict[str, str], others: Sequence[Interface]) -> None:
    if unknown := set(words) - set(_ORDER):
        raise _wrong(min(unknown), f"is none of {', '.join(_ORDER)}")
    if words.get("mac_filter", "on") not in ("on", "off"):
        raise _wrong(words["mac_filter"], "must be on or off")
    _check_names(new, others)
    for mac in (new.mac, new.host_mac):
        if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1:
            raise _wrong(mac, "is not the MAC address of an interface")


def _check_names(new: Interface, others: Sequence[Interface]) -> None:
    for name in (new.ifname, new.host_ifname, *([new.bridge] if new.bridge else [])):
        check_name(name)
    if new.ifname == "lo" or new.ifname.startswith("venet"):
        raise _wrong(new.ifname, "is an interface that every VE has")
    for one in others:
        for field in ("ifname", "host_ifname"):
            if getattr(one, field) == getattr(new, field):
                raise _wrong(getattr(new, field), "is taken by another interface of this VE")


def _new_mac() -> str:
    """Return an address of the range that OpenVZ's vendor has for VEs."""
    return "00:18:51:" + os.urandom(3).hex(":")


def _written(one: Interface) -> str:
    values = one._asdict() | {"mac_filter": "on" if one.mac_filter else "off"}
    return ",".join(f"{name}={values[name]}" for name in _ORDER if values[name])


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name.strip(), value.strip()


def _wrong(text: str, problem: str) -> VEError:
    return VEError(f"{text!r} {problem}", vz_code=codes.INVALID_PARAMETER_VALUE)
