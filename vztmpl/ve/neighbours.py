"""The networks that the host itself is on: it answers there for the addresses of its VEs.

NEIGHBOUR_DEVS in vz.conf says on which of its links: ``detect`` (those whose own network an
address belongs to), ``all`` or ``list:eth0 eth1``. There the host proxies ARP and NDP for the
address, tells the neighbours so, and asks first whether somebody has it already.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes, network

_SYSCTL = Path("/proc/sys/net")


class _Route(NamedTuple):
    device: str
    network: str
    gateway: bool


def places(node: Node, addresses: Iterable[str]) -> dict[str, list[str]]:
    """Return the host's links on which it answers, for those addresses that have one."""
    return {one: found for one in sorted(addresses) if (found := _devices(node, one))}


def ways_out() -> list[str]:
    """Return the links of the host's default routes."""
    found = [
        route.device
        for version in (4, 6)
        for route in _routes(version)
        if route.gateway and ip_network(route.network).prefixlen == 0
    ]
    return list(dict.fromkeys(found))


def commands(verb: str, wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the ``ip -batch`` lines that add or delete the proxies for addresses."""
    return [
        f"neighbour {verb} proxy {address} dev {device}"
        for address, found in wanted.items()
        for device in found
    ]


def refuse_duplicates(node: Node, wanted: Mapping[str, Sequence[str]]) -> None:
    """Ask the networks who has these addresses; VEError when somebody answers."""
    if node.setting("SKIP_ARPDETECT") == "yes":
        return
    from vztmpl.ve import arp

    for address, found in wanted.items():
        for device in found:
            if holder := arp.holder(device, address):
                raise VEError(
                    f"{address} is in use on {device} by {holder}",
                    vz_code=codes.IP_INUSE,
                    hint="choose another address; SKIP_ARPDETECT=yes in vz.conf asks nobody",
                )


def announce(wanted: Mapping[str, Sequence[str]]) -> None:
    """Answer for addresses from now on, and say so to those who may know them elsewhere."""
    from vztmpl.ve import arp

    for device in {device for found in wanted.values() for device in found}:
        let_through(device)
    network.on_host(commands("add", wanted))
    for address, found in wanted.items():
        for device in found:
            arp.announce(device, address)


def let_through(device: str) -> None:
    """Forward what comes in on a link of the host's, and answer there for others."""
    settings = [
        (f"ipv4/conf/{device}/forwarding", "1"),
        (f"ipv4/neigh/{device}/proxy_delay", "0"),
        (f"ipv6/neigh/{device}/proxy_delay", "0"),
        (f"ipv6/conf/{device}/proxy_ndp", "1"),
        (f"ipv6/conf/{device}/forwarding", "1"),
        (f"ipv6/conf/{device}/force_forwarding", "1"),  # before 6.17: the host's global switch
    ]
    accept = _SYSCTL / f"ipv6/conf/{device}/accept_ra"
    if accept.exists() and accept.read_text().strip() == "1":
        settings.insert(0, (f"ipv6/conf/{device}/accept_ra", "2"))  # also when it forwards
    for name, value in settings:
        if (path := _SYSCTL / name).exists():
            path.write_text(value)


def _devices(node: Node, address: str) -> list[str]:
    setting = node.setting("NEIGHBOUR_DEVS", "detect")
    if setting.startswith("list:"):
        return setting.removeprefix("list:").replace(",", " ").split()
    connected = [route for route in _routes(ip_address(address).version) if not route.gateway]
    if setting != "all":
        wanted = ip_address(address)
        connected = [route for route in connected if wanted in ip_network(route.network)]
    return list(dict.fromkeys(route.device for route in connected))


def _routes(version: int) -> Iterator[_Route]:
    """Yield the host's routes, but not those to single addresses, which lead to VEs."""
    table = Path("/proc/net/route" if version == 4 else "/proc/net/ipv6_route")  # noqa: PLR2004
    try:
        lines = table.read_text().splitlines()
    except FileNotFoundError:
        return
    for words in map(str.split, lines):
        route = _route_v4(words) if version == 4 else _route_v6(words)  # noqa: PLR2004
        if route and route.device != "lo" and not route.network.endswith(("/32", "/128")):
            yield route


def _route_v4(words: Sequence[str]) -> _Route | None:
    """Read a line of /proc/net/route (proc(5)): addresses are hexadecimal, in host order."""
    if words[0] == "Iface":
        return None
    destination, gateway, mask = (
        int.from_bytes(bytes.fromhex(words[column]), sys.byteorder) for column in (1, 2, 7)
    )
    bits = f"{mask:032b}".count("1")
    return _Route(words[0], f"{ip_address(destination)}/{bits}", gateway != 0)


def _route_v6(words: Sequence[str]) -> _Route | None:
    """Read a line of /proc/net/ipv6_route; RTF_REJECT (0x200) marks what leads nowhere."""
    destination, bits, gateway = words[0], int(words[1], 16), words[4]
    if int(words[8], 16) & 0x200 or destination.startswith(("fe8", "ff")):
        return None
    place = ip_address(bytes.fromhex(destination))
    return _Route(words[9], f"{place}/{bits}", set(gateway) != {"0"})
