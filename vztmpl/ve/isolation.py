"""What of the kernel a VE may use: CAPABILITY, FEATURES, DEVICES, DEVNODES and NETFILTER.

Names and syntax are vzctl's (man/vzctl.8, ``src/lib/{cap,vzfeatures,dev}.c``). All of it is settled
when the VE starts. docs/admin.md says what each word comes to on a mainline kernel.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes

CAPABILITIES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid",
    "setpcap", "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw",
    "ipc_lock", "ipc_owner", "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct",
    "sys_admin", "sys_boot", "sys_nice", "sys_resource", "sys_time", "sys_tty_config", "mknod",
    "lease", "audit_write", "audit_control", "setfcap", "mac_override", "mac_admin", "syslog",
    "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore",
)  # fmt: skip
"""capabilities(7), in the kernel's order."""

_FEATURE_DEVICES = {"fuse": "fuse", "tun": "net/tun", "ppp": "ppp"}
_NATURAL = ("sysfs", "sit", "ipip", "ipgre", "bridge")
"""Every VE has these: its own network namespace and its own sysfs bring them."""
_IMPOSSIBLE = {
    "nfs": "mount it on the host from CTID.mount, or use a FUSE client inside",
    "nfsd": "export from the host, or use a server that runs in user space",
}
_FEATURES = (*_FEATURE_DEVICES, "nesting", *_NATURAL, *_IMPOSSIBLE)
_DEVICE = re.compile(r"([bc]):(\d+):(\d+|all):(none|[rwq]+)")
_NODE = re.compile(r"(?!\.)([\w.-]+(?:/(?!\.)[\w.-]+)*):(none|[rwq]+)")


class Netfilter(StrEnum):
    """How much of the packet filter a VE has."""

    DISABLED = "disabled"
    STATELESS = "stateless"
    STATEFUL = "stateful"
    FULL = "full"


class Device(NamedTuple):
    """A device of the host's that a VE may use."""

    where: str
    """``b:8:0`` or its name below /dev."""
    access: str
    """``r``, ``w``, ``rw``."""


class Isolation(NamedTuple):
    """What a VE's conf says differently from the default."""

    capabilities: Mapping[str, bool] = {}
    features: Mapping[str, bool] = {}
    devices: tuple[Device, ...] = ()
    netfilter: str = ""

    def has(self, feature: str) -> bool:
        """Say whether a feature is on."""
        return self.features.get(feature, False)

    def nodes(self) -> Iterable[Device]:
        """Return all devices that the VE gets, those of its features among them."""
        wanted = [name for feature, name in _FEATURE_DEVICES.items() if self.has(feature)]
        return (*self.devices, *(Device(name, "rw") for name in wanted))

    def warnings(self) -> list[str]:
        """Say what a conf asks for that no mainline kernel can give."""
        return [
            f"FEATURES: {name} can't be given to a VE, it is left out: {cure}"
            for name, cure in _IMPOSSIBLE.items()
            if self.has(name)
        ]


def read(get: Callable[[str], str]) -> Isolation:
    """Read the five variables of a conf file."""
    level = get("NETFILTER")
    return Isolation(
        capabilities=_switches(get("CAPABILITY"), CAPABILITIES, "capability"),
        features=_switches(get("FEATURES"), _FEATURES, "feature"),
        devices=(*_devices(get("DEVICES"), _DEVICE), *_devices(get("DEVNODES"), _NODE)),
        netfilter=netfilter(level) if level else "",
    )


def capability(text: str, before: str = "") -> str:
    """Check ``name:on|off,…`` and join it to what was set before."""
    both = {**_switches(before, CAPABILITIES, ""), **_switches(text, CAPABILITIES, "capability")}
    return ",".join(f"{name}:{'on' if on else 'off'}" for name, on in both.items())


def features(text: str, before: str = "") -> str:
    """Check ``name:on|off,…`` and join it to what was set before."""
    given = _switches(text, _FEATURES, "feature")
    for name, cure in _IMPOSSIBLE.items():
        if given.get(name):
            raise _wrong(f"the kernel does not let a user namespace have {name}", hint=cure)
    both = {**_switches(before, _FEATURES, ""), **given}
    return ",".join(f"{name}:{'on' if on else 'off'}" for name, on in both.items())


def devices(text: str, before: str = "") -> str:
    """Check ``b|c:major:minor:[rwq]|none`` and join it to what was set before."""
    return _joined(text, before, _DEVICE)


def devnodes(text: str, before: str = "") -> str:
    """Check ``name:[rwq]|none`` and join it to what was set before."""
    return _joined(text, before, _NODE)


def netfilter(text: str) -> str:
    """Check a level."""
    if text not in list(Netfilter):
        raise _wrong(f"{text!r} is none of {', '.join(Netfilter)}")
    return text


def _switches(text: str, known: Iterable[str], what: str) -> dict[str, bool]:
    found = {}
    for word in re.split(r"[\s,]+", text.strip()) if text.strip() else []:
        name, colon, state = word.lower().partition(":")
        name = name.removeprefix("cap_")
        if name not in known:
            raise _wrong(f"{name!r} is no {what}", hint=f"known: {' '.join(known)}")
        if not colon or state not in ("on", "off"):
            raise _wrong(f"{word!r} is not {name}:on or {name}:off")
        found[name] = state == "on"
    return found


def _joined(text: str, before: str, pattern: re.Pattern[str]) -> str:
    given = _devices(text, pattern, keep_none=True)
    if not given:
        raise _wrong("no device given")
    merged = {each.where: each for each in (*_devices(before, pattern), *given)}
    return " ".join(f"{each.where}:{each.access}" for each in merged.values() if each.access)


def _devices(text: str, pattern: re.Pattern[str], *, keep_none: bool = False) -> list[Device]:
    found = []
    for word in re.split(r"[\s,]+", text.strip()) if text.strip() else []:
        match = pattern.fullmatch(word)
        if not match or "all" in match.groups():
            hint = "one device by its numbers, as b:8:0:rw, or by its name, as sda:r"
            raise _wrong(f"{word!r} is not a device", hint=hint)
        where, _, access = word.rpartition(":")
        rights = "".join(each for each in "rw" if each in access) if access != "none" else ""
        if rights or keep_none:
            found.append(Device(where, rights))
    return found


def _wrong(problem: str, hint: str = "") -> VEError:
    return VEError(problem, vz_code=codes.INVALID_PARAMETER_VALUE, hint=hint)
