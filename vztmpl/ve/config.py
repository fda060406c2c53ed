"""A VE's configuration: ``/etc/vz/conf/<CTID>.conf`` read into a typed value, and written back.

The file stays valid shell and belongs to the admin as much as to us: others may edit or replace
it at any time, so it is read afresh for every command, and comments and unknown lines survive.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.settings import Node, shipped
from vztmpl.ve import beancounters, codes, units, variables
from vztmpl.ve.disk import Disk

if TYPE_CHECKING:
    from vztmpl.ve.interface import Interface
    from vztmpl.ve.isolation import Isolation

MAX_CTID = 2147483644
IDS_PER_VE = 65536
_ISOLATION = ("CAPABILITY", "FEATURES", "DEVICES", "DEVNODES", "NETFILTER")
_DEFAULT_SAMPLE = "vswap-1g"


class VEConfig(NamedTuple):
    """What is set for one VE."""

    ctid: int
    private: Path
    root: Path
    hostname: str
    name: str
    description: str
    ostemplate: str
    addresses: tuple[str, ...]
    nameservers: tuple[str, ...]
    search_domains: tuple[str, ...]
    first_id: int
    """The host's id for the VE's root; the VE owns this one and the 65535 after it."""
    onboot: str
    """``yes``, ``no`` or empty: not set."""
    disabled: bool
    beancounters: Mapping[str, units.Pair]
    """Parameter (``physpages``) to barrier and limit, in its unit; those that are set."""
    vm_overcommit: float
    """How much memory may be promised, as a multiple of memory and swap; 0 is any."""
    cpuunits: int
    """Weight against other VEs; 1000 is everybody's default."""
    cpulimit: int
    """Percent of one CPU; 0 is no limit."""
    cpus: int
    """How many CPUs it sees and uses; 0 is all."""
    cpumask: str
    """CPUs that it may use (``0-3,6``); ``auto``: those of its nodes; ``all`` or empty: any."""
    nodemask: str
    """NUMA nodes whose memory it may use; ``all`` or empty: any."""
    ioprio: int | None
    """Weight for the disk, 0 to 7; None: not set."""
    iolimit: int
    """Bytes per second to and from the disk; 0 is no limit."""
    iopslimit: int
    """Requests per second; 0 is no limit."""
    stop_timeout_seconds: int
    disk: Disk = Disk()
    boot_order: int | None = None
    """VEs with higher ones start first; those without one last."""
    interfaces: "tuple[Interface, ...]" = ()
    """Ethernet links, beside or in place of venet."""
    netdevs: tuple[str, ...] = ()
    """Interfaces of the host that are the VE's while it runs."""
    rate_kbit: int = 0
    """Traffic in each direction; 0 is no limit."""
    isolation: "Isolation | None" = None
    """Capabilities, features and devices; None: the default ones."""


def conf_path(node: Node, ctid: int) -> Path:
    """Return where a VE's configuration stands, whether it is there or not."""
    return node.etc / f"conf/{ctid}.conf"


def find(node: Node, text: str) -> int:
    """Return the CTID that a number or a name means; there may be no such VE."""
    if text.isascii() and text.isdigit():
        if (ctid := int(text)) <= MAX_CTID:
            return ctid
    elif text and "/" not in text and (link := node.etc / "names" / text).is_symlink():
        number = link.readlink().name.removesuffix(".conf")
        if number.isdigit():
            return int(number)
    raise VEError(
        f"Bad CT ID {text}",
        vz_code=codes.INVALID_PARAMETER_VALUE,
        hint=f"a CT ID is a number up to {MAX_CTID} or a name; `vzlist -a` shows those there are",
    )


def all_ctids(node: Node) -> Iterator[int]:
    """Yield the CTIDs of all VEs that have a configuration, in order."""
    try:
        names = [path.stem for path in (node.etc / "conf").iterdir() if path.suffix == ".conf"]
    except FileNotFoundError:
        names = []
    return iter(sorted(int(name) for name in names if name.isdigit() and name != "0"))


def private_of(node: Node, ctid: int) -> Path:
    """Return VE_PRIVATE of a VE, also when other things in its configuration make no sense."""
    text = shellvars.read(conf_path(node, ctid)).get("VE_PRIVATE", "")
    return _path(node, text, node.private_pattern, ctid)


def load(node: Node, ctid: int) -> VEConfig:
    """Read a VE's configuration; variables it lacks come from vz.conf."""
    path = conf_path(node, ctid)
    try:
        return parse(node, ctid, shellvars.read_text(path), path)
    except FileNotFoundError as error:
        raise VEError(
            "Container config file does not exist",
            vz_code=codes.NOVECONFIG,
            hint=f"{path} is missing; `vzctl create {ctid} --ostemplate NAME` makes a container",
        ) from error


def load_live(node: Node, ctid: int) -> VEConfig:
    """Read what is in force: the configuration, and what was set without --save since the start."""
    config = load(node, ctid)
    unsaved = read_unsaved(node, ctid)
    if not unsaved:
        return config
    path = conf_path(node, ctid)
    return parse(node, ctid, shellvars.updated(shellvars.read_text(path), unsaved), path)


def read_unsaved(node: Node, ctid: int) -> dict[str, str]:
    """Return the variables that were set without --save since the VE started."""
    try:
        return shellvars.read(_unsaved_path(node, ctid))
    except FileNotFoundError:
        return {}


def write_unsaved(node: Node, ctid: int, variables: Mapping[str, str | None]) -> None:
    """Remember variables for as long as the VE runs."""
    from vztmpl.files import write_text

    write_text(_unsaved_path(node, ctid), shellvars.updated("", variables))


def parse(node: Node, ctid: int, text: str, where: Path) -> VEConfig:
    """Read a configuration's text; VEError naming ``where`` when a value makes no sense."""
    try:
        return _typed(node, ctid, {**node.defaults, **shellvars.parse(text)})
    except VEError as error:
        raise VEError(f"{where}: {error}", vz_code=codes.INVALID_CONFIG) from error


def save(node: Node, ctid: int, changes: Mapping[str, str | None]) -> None:
    """Set variables in a VE's configuration (None removes one)."""
    from vztmpl.files import write_text

    path = conf_path(node, ctid)
    write_text(path.resolve(), shellvars.updated(shellvars.read_text(path), changes))


def sample(node: Node, name: str) -> str:
    """Return the text of ``ve-<name>.conf-sample``: the admin's, or else the one shipped."""
    wanted = name or node.setting("CONFIGFILE", _DEFAULT_SAMPLE)
    if "/" not in wanted:
        for folder in (node.etc, shipped("etc/vz")):
            path = folder / f"conf/ve-{wanted}.conf-sample"
            if path.is_file():
                return shellvars.read_text(path)
    raise VEError(
        f"Sample config {wanted} not found",
        vz_code=codes.CP_CONFIG,
        hint=f"put ve-{wanted}.conf-sample into {node.etc}/conf",
    )


def forget(node: Node, ctid: int) -> None:
    """Put the configuration of a destroyed VE aside."""
    path = conf_path(node, ctid)
    path.rename(path.with_name(f"{path.name}.destroyed"))


def _typed(node: Node, ctid: int, values: Mapping[str, str]) -> VEConfig:
    def get(name: str, default: str = "") -> str:
        return values.get(name, default)

    return VEConfig(
        ctid=ctid,
        private=_path(node, get("VE_PRIVATE"), node.private_pattern, ctid),
        root=_path(node, get("VE_ROOT"), node.root_pattern, ctid),
        hostname=get("HOSTNAME"),
        name=get("NAME"),
        description=get("DESCRIPTION"),
        ostemplate=get("OSTEMPLATE"),
        addresses=tuple(get("IP_ADDRESS").split()),
        nameservers=tuple(get("NAMESERVER").split()),
        search_domains=tuple(get("SEARCHDOMAIN").split()),
        first_id=variables.whole("LOCAL_UID", get("LOCAL_UID", "0")),
        onboot=get("ONBOOT"),
        disabled=get("DISABLED") == "yes",
        beancounters=_beancounters(values),
        vm_overcommit=variables.factor("VM_OVERCOMMIT", get("VM_OVERCOMMIT") or "0"),
        cpuunits=variables.whole("CPUUNITS", get("CPUUNITS") or "1000"),
        cpulimit=variables.whole("CPULIMIT", get("CPULIMIT") or "0"),
        cpus=variables.whole("CPUS", get("CPUS") or "0"),
        cpumask=variables.mask("CPUMASK", get("CPUMASK")),
        nodemask=variables.mask("NODEMASK", get("NODEMASK")),
        ioprio=min(variables.whole("IOPRIO", get("IOPRIO")), 7) if get("IOPRIO") else None,
        iolimit=variables.whole("IOLIMIT", get("IOLIMIT") or "0"),
        iopslimit=variables.whole("IOPSLIMIT", get("IOPSLIMIT") or "0"),
        stop_timeout_seconds=variables.whole("STOP_TIMEOUT", get("STOP_TIMEOUT") or "120"),
        disk=Disk.parse(values),
        boot_order=variables.whole("BOOTORDER", get("BOOTORDER")) if get("BOOTORDER") else None,
        interfaces=_interfaces(get("NETIF"), ctid),
        netdevs=_netdevs(get("NETDEV")),
        rate_kbit=_rate(get("RATE")),
        isolation=_isolation(get),
    )


def _beancounters(values: Mapping[str, str]) -> dict[str, units.Pair]:
    found = {}
    for variable, text in values.items():
        name = beancounters.ALIASES.get(variable, variable).lower()
        if (known := beancounters.BY_NAME.get(name)) and text and variable.isupper():
            found[name] = units.pair(text, known.unit)
    return found


# Few VEs set these, so what reads them is imported for those only.


def _interfaces(text: str, ctid: int) -> "tuple[Interface, ...]":
    if not text:
        return ()
    from vztmpl.ve import interface

    return interface.read(text, ctid)


def _netdevs(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    from vztmpl.ve import interface

    return tuple(interface.check_name(name) for name in text.replace(",", " ").split())


def _isolation(get: Callable[[str], str]) -> "Isolation | None":
    if not any(get(name) for name in _ISOLATION):
        return None
    from vztmpl.ve import isolation

    return isolation.read(get)


def _rate(text: str) -> int:
    """Read ``device:class:kbit``; device and class are OpenVZ's and mean nothing here."""
    return variables.whole("RATE", text.strip().rpartition(":")[2]) if text.strip() else 0


def _unsaved_path(node: Node, ctid: int) -> Path:
    return node.run / str(ctid) / "unsaved"


def _path(node: Node, value: str, pattern: str, ctid: int) -> Path:
    text = (value or pattern).replace("${VEID}", str(ctid)).replace("$VEID", str(ctid))
    return node.below(text)
