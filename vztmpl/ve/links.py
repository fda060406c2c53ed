"""All links of a VE: venet, which every VE has, and what its conf or the node's asks for beside it.

What is made on the host beside venet is written into ``<run>/<CTID>/links`` first, as the
``ip -batch`` lines that undo it: a VE's end finds them there whatever has become of its conf.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from vztmpl.errors import CommandError
from vztmpl.settings import Node
from vztmpl.ve import network
from vztmpl.ve.config import VEConfig
from vztmpl.ve.status import run_folder

_FILTER = "# filter"
_FILTERED = ("addresses", "interfaces", "rate_kbit")
NAMESPACES = Path("/run/netns")
"""Where ``ip netns`` looks for names."""


def attach(node: Node, config: VEConfig, pid: int) -> None:
    """Give a VE whose first process is ``pid`` all its links and addresses."""
    _neighbours(node, config.ctid, config.addresses, ())
    network.attach(node, config.ctid, pid, config.addresses)
    if config.interfaces or config.netdevs:
        from vztmpl.ve import veth

        veth.require(None, config)
        _remember(node, config.ctid, veth.undo_commands(config.interfaces))
        veth.attach(config, pid)
    _filter(node, config, had_rate=False)
    if not node.tag:
        NAMESPACES.mkdir(exist_ok=True)
        _forget_name(config.ctid)
        (NAMESPACES / str(config.ctid)).symlink_to(f"/proc/{pid}/ns/net")


def detach(node: Node, ctid: int) -> None:
    """Take all of it away; what is not there is fine."""
    network.detach(node, ctid)
    if not node.tag:
        _forget_name(ctid)
    try:
        lines = _links(node, ctid).read_text().splitlines()
    except FileNotFoundError:
        return
    from vztmpl.ve import shaping

    for line in lines:
        if line == _FILTER:
            shaping.remove(node, ctid)
        else:
            with suppress(CommandError):  # gone already, with the VE's namespace for one
                network.ip(line)


def change(node: Node, pid: int, before: VEConfig, after: VEConfig) -> None:
    """Change the links of a running VE."""
    ctid = after.ctid
    if (before.interfaces, before.netdevs) != (after.interfaces, after.netdevs):
        from vztmpl.ve import veth

        veth.require(before, after)
        _remember(node, ctid, veth.undo_commands(after.interfaces))
        veth.change(pid, before, after)
    _neighbours(node, ctid, after.addresses, before.addresses)
    for one in before.addresses:
        if one not in after.addresses:
            network.remove(node, ctid, pid, one)
    for one in after.addresses:
        if one not in before.addresses:
            network.add(node, ctid, pid, one, way_out=not after.interfaces)
    if any(getattr(before, name) != getattr(after, name) for name in _FILTERED):
        _filter(node, after, had_rate=bool(before.rate_kbit))


def _neighbours(node: Node, ctid: int, addresses: Sequence[str], had: Sequence[str]) -> None:
    """Have the host answer for new addresses on its own networks; nobody else may do so."""
    new, lost = set(addresses) - set(had), set(had) - set(addresses)
    if not new and not lost:
        return
    from vztmpl.ve import neighbours

    if wanted := neighbours.places(node, new):
        neighbours.refuse_duplicates(node, wanted)
        _remember(node, ctid, neighbours.commands("delete", wanted))
        neighbours.announce(wanted)
    for line in neighbours.commands("delete", neighbours.places(node, lost)):
        with suppress(CommandError):
            network.ip(line)


def _filter(node: Node, config: VEConfig, *, had_rate: bool) -> None:
    """Put rates, filters and translation in force, where one is asked for, or was before."""
    asked = config.interfaces or config.rate_kbit or node.setting("NAT_RANGES")
    had = _FILTER in _read(node, config.ctid)
    if not asked and not had:
        return
    from vztmpl.ve import shaping

    if shaping.wanted(node, config) or had:
        _remember(node, config.ctid, [_FILTER])
        shaping.apply(node, config, had_rate=had_rate)


def _remember(node: Node, ctid: int, lines: Iterable[str]) -> None:
    new = dict.fromkeys([*_read(node, ctid), *lines])
    _links(node, ctid).write_text("".join(f"{line}\n" for line in new))


def _read(node: Node, ctid: int) -> list[str]:
    with suppress(FileNotFoundError):
        return _links(node, ctid).read_text().splitlines()
    return []


def _links(node: Node, ctid: int) -> Path:
    return run_folder(node, ctid) / "links"


def _forget_name(ctid: int) -> None:
    (NAMESPACES / str(ctid)).unlink(missing_ok=True)
