"""veth: Ethernet links of a VE, each with an end on the host that may be a port of a bridge.

The VE's own network scripts give these links their addresses. Links of the host's that a VE is
given whole (NETDEV) are here too.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from vztmpl.errors import VEError
from vztmpl.ve import codes, network
from vztmpl.ve.config import VEConfig
from vztmpl.ve.interface import Interface, host_mac


def attach(config: VEConfig, pid: int) -> None:
    """Give a VE its Ethernet links and the host's links that are for it."""
    network.on_host(_made(config.interfaces, config.netdevs, pid))
    lines = [f"link set {name} up" for name in _names(config)]
    if not config.addresses:  # the way out is what its own network scripts say, not venet
        lines += [f"route delete {each} dev {network.VE_INTERFACE}" for each in ("default", "::/0")]
    network.in_ve(pid, lines)


def change(pid: int, before: VEConfig, after: VEConfig) -> None:
    """Change the Ethernet links of a running VE; one is made anew when more than its bridge is."""
    gone = [one for one in before.interfaces if one not in after.interfaces]
    new = [one for one in after.interfaces if one not in before.interfaces]
    left = [name for name in before.netdevs if name not in after.netdevs]
    taken = [name for name in after.netdevs if name not in before.netdevs]
    rebridged = {one.ifname: one for one in new if _alike(one, gone)}
    if left:
        network.in_ve(pid, [f"link set {name} netns {os.getpid()}" for name in left])
    network.on_host(
        [f"link delete {one.host_ifname}" for one in gone if one.ifname not in rebridged]
        + [_port(one) for one in rebridged.values()]
    )
    made = [one for one in new if one.ifname not in rebridged]
    network.on_host(_made(made, taken, pid))
    network.in_ve(pid, [f"link set {name} up" for name in (*(one.ifname for one in made), *taken)])


def require(before: VEConfig | None, after: VEConfig) -> None:
    """Refuse what can't be made on this host, before anything is changed."""
    mine = {one.host_ifname for one in before.interfaces} if before else set()
    lent = before.netdevs if before else ()
    for one in after.interfaces:
        if one.bridge and not _exists(one.bridge):
            hint = f"ip link add {one.bridge} type bridge"
            raise _refused(f"this host has no bridge {one.bridge}", codes.VETH_ERROR, hint)
        if one.host_ifname not in mine and _exists(one.host_ifname):
            hint = "give it another host_ifname"
            raise _refused(f"this host has a link {one.host_ifname}", codes.VETH_ERROR, hint)
    for name in after.netdevs:
        if name not in lent and not _exists(name):
            hint = "`ip link` shows those there are"
            raise _refused(f"this host has no link {name}", codes.NETWORK_ERROR, hint)


def undo_commands(interfaces: Sequence[Interface]) -> list[str]:
    """Return the ``ip -batch`` lines that take the host's ends away."""
    return [f"link delete {one.host_ifname}" for one in interfaces]


def _made(interfaces: Sequence[Interface], netdevs: Sequence[str], pid: int) -> list[str]:
    lines = []
    for one in interfaces:
        # A bridge keeps what is addressed to its port's own address, so both ends can't have one
        own = one.host_mac if one.host_mac != one.mac else host_mac(one.mac)
        lines += [
            f"link add {one.host_ifname} address {own}"
            f" type veth peer name {one.ifname} address {one.mac} netns {pid}",
            *([_port(one)] if one.bridge else []),
            f"link set {one.host_ifname} addrgenmode none up",
        ]
    return [*lines, *(f"link set {name} netns {pid}" for name in netdevs)]


def _port(one: Interface) -> str:
    return f"link set {one.host_ifname} {f'master {one.bridge}' if one.bridge else 'nomaster'}"


def _alike(one: Interface, others: Sequence[Interface]) -> bool:
    """Say whether there is an interface that differs in its bridge or its filter only."""
    plain = one._replace(bridge="", mac_filter=True)
    return any(other._replace(bridge="", mac_filter=True) == plain for other in others)


def _names(config: VEConfig) -> list[str]:
    return [*(one.ifname for one in config.interfaces), *config.netdevs]


def _exists(name: str) -> bool:
    """Say whether there is such a link: unlike /sys, /proc is of our own network namespace."""
    return Path(f"/proc/sys/net/ipv4/conf/{name}").exists()


def _refused(problem: str, code: int, hint: str) -> VEError:
    return VEError(problem, vz_code=code, hint=hint)
