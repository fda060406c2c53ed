"""The options of `vzctl set` for Ethernet links, links of the host's, and rates."""

from collections.abc import Mapping

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig

_MAX_KBIT = 10**8
_EDITS = {
    "mac": "MAC  its address in the container",
    "host_ifname": "NAME  its other end on the host",
    "host_mac": "MAC  the address of that end",
    "bridge": "BRIDGE  the host's bridge that it is in; empty for none",
    "mac_filter": "on|off  take frames with its own address only",
}
OPTIONS = {
    "netif_add=": "NAME[,MAC,HOST_NAME,HOST_MAC,BRIDGE]  give it an Ethernet link",
    "netif_del=": "NAME|all  take an Ethernet link away",
    "ifname=": "NAME  the Ethernet link that the next five change",
    **{f"{name}=": text for name, text in _EDITS.items()},
    "netdev_add=": "NAME  give it a link of the host's",
    "netdev_del=": "NAME  give that back to the host",
    "rate=": "DEVICE:CLASS:KBIT  traffic each way; 0 is no limit",
}


def changes(call: Call, before: VEConfig) -> Mapping[str, str | None]:
    """Return the conf variables that these options set."""
    found: dict[str, str | None] = {}
    if any(call.has(name) for name in ("netif_add", "netif_del", "ifname", *_EDITS)):
        found["NETIF"] = _interfaces(call, before)
    if call.has("netdev_add") or call.has("netdev_del"):
        from vztmpl.ve.interface import check_name

        gone = call.values("netdev_del")
        kept = [name for name in before.netdevs if name not in gone]
        new = [check_name(name) for name in call.values("netdev_add")]
        found["NETDEV"] = " ".join(dict.fromkeys([*kept, *new]))
    if call.has("rate"):
        found["RATE"] = _rate(call.value("rate"))
    return found


def _interfaces(call: Call, before: VEConfig) -> str:
    from vztmpl.ve import interface

    now = before.interfaces
    for name in call.values("netif_del"):
        now = interface.removed(now, name)
    for words in call.values("netif_add"):
        now = interface.added(now, words, call.ctid)
    edits = [(name, call.value(name)) for name in _EDITS if call.has(name)]
    if bool(edits) != call.has("ifname"):
        raise VEError(
            "--ifname names the link, and the options beside it what changes",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint=f"vzctl set {call.ctid} --ifname eth0 --bridge br0 --save",
        )
    if edits:
        now = interface.edited(now, call.value("ifname"), edits, call.ctid)
    return interface.write(now)


def _rate(text: str) -> str:
    kbit = text.rpartition(":")[2]
    number = int(kbit) if kbit.isascii() and kbit.isdigit() else -1
    if not 0 <= number <= _MAX_KBIT or text.count(":") not in (0, 2):
        raise VEError(
            f"{text!r} is not device:class:kbit",
            vz_code=codes.INVALID_PARAMETER_VALUE,
            hint="--rate venet0:1:8000 is 8 Mbit/s each way",
        )
    return text if ":" in text else f"venet0:1:{text}"
