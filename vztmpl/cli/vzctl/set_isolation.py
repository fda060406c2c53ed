"""The options of `vzctl set` for capabilities, features, devices and the packet filter."""

from collections.abc import Mapping

from vztmpl.cli.vzctl.call import Call
from vztmpl.ve.config import VEConfig

OPTIONS = {
    "capability=": "NAME:on|off,…  see docs/admin.md; needs a restart, as all of these",
    "features=": "NAME:on|off,…  fuse, tun, ppp, nesting, …",
    "devices=": "b|c:MAJOR:MINOR:[rw]|none  a device by its numbers",
    "devnodes=": "NAME:[rw]|none  a device by its name below /dev",
    "netfilter=": "disabled|stateless|stateful|full  the packet filter",
}


def given(call: Call) -> bool:
    """Say whether any of these options is there."""
    return any(call.has(name.removesuffix("=")) for name in OPTIONS)


def changes(call: Call, before: VEConfig) -> Mapping[str, str]:
    """Return the conf variables that these options set, joined to what was set before."""
    if not given(call):
        return {}
    from vztmpl.ve import isolation

    old = before.isolation or isolation.Isolation()
    found = {}
    for values, variable, parse, had in (
        (call.values("capability"), "CAPABILITY", isolation.capability, old.capabilities),
        (call.values("features"), "FEATURES", isolation.features, old.features),
    ):
        if values:
            text = ",".join(f"{name}:{'on' if on else 'off'}" for name, on in had.items())
            found[variable] = parse(",".join(values), text)
    for values, variable, parse, numbered in (
        (call.values("devices"), "DEVICES", isolation.devices, True),
        (call.values("devnodes"), "DEVNODES", isolation.devnodes, False),
    ):
        if values:
            words = [f"{d.where}:{d.access}" for d in old.devices if (":" in d.where) == numbered]
            found[variable] = parse(" ".join(values), " ".join(words))
    if call.has("netfilter"):
        found["NETFILTER"] = isolation.netfilter(call.value("netfilter"))
    return found
