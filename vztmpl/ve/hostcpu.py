"""The host's own share of the CPUs beside its VEs: ``vzctl set 0 --cpuunits``.

The kernel weighs the group of all VEs against the host's own top groups (system.slice, user.slice;
without systemd, every process of the host by itself), each of which weighs what a new group does.
So the group of all VEs gets as many times that weight as the VEs together have units for each one
of the host's.
"""

from collections.abc import Mapping
from contextlib import suppress

from vztmpl import shellvars
from vztmpl.files import write_text
from vztmpl.settings import Node
from vztmpl.ve import cgroup, config, cpu
from vztmpl.ve.cgroup import Group

_USUAL_UNITS = {True: 1000, False: 1024}  # cpu.weight 100, cpu.shares 1024


def units(node: Node) -> int:
    """Return the host's CPU units; 0 when nobody has set them."""
    values = config.read_unsaved(node, 0)
    with suppress(FileNotFoundError):
        values = {**shellvars.read(config.conf_path(node, 0)), **values}
    text = values.get("CPUUNITS") or node.setting("VE0CPUUNITS")
    return int(text) if text.isascii() and text.isdigit() else 0


def change(node: Node, changes: Mapping[str, str], *, save: bool) -> None:
    """Put the host's CPU units in force, until it reboots or for good: in 0.conf."""
    if save:
        path = config.conf_path(node, 0)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = shellvars.read_text(path) if path.exists() else ""
        write_text(path, shellvars.updated(text, changes))
    (node.run / "0").mkdir(parents=True, exist_ok=True)
    config.write_unsaved(node, 0, {} if save else changes)
    balance(node)


def balance(node: Node) -> None:
    """Weigh all VEs that run against the host, if its units are set."""
    if not (host_units := units(node)):
        return
    group = Group(cgroup.host_hierarchies(), cgroup.parent_name(node.tag))
    unified = group.hierarchies.unified
    usual = _USUAL_UNITS[unified]
    with suppress(FileNotFoundError):  # no VE runs
        total = _units_of_ves(group)
        cgroup_units = max(1, total * usual // host_units)
        (setting,) = cpu.weight(cgroup_units, unified=unified)
        (group.folder("cpu") / setting.file).write_text(f"{setting.value}\n")


def _units_of_ves(group: Group) -> int:
    file, factor = ("cpu.weight", 10) if group.hierarchies.unified else ("cpu.shares", 1)
    found = 0
    for path in group.folder("cpu").glob(f"[0-9]*/{file}"):
        with suppress(FileNotFoundError):  # a VE just stopped
            found += int(path.read_text()) * factor
    return found
