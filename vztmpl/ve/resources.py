"""Putting a VE's limits in force, at its start and while it runs. docs/resources.md has the table.

What the kernel refuses is an error; what this host has no means for is said through ``warn`` and
bounds nothing. Only what differs from before is touched, so a VE without limits costs nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from vztmpl.errors import VEError
from vztmpl.ve import beancounters, blkio, cgroup, cpu, memory
from vztmpl.ve.cgroup import Setting
from vztmpl.ve.config import VEConfig
from vztmpl.ve.readings import SOCKETS_NOTE, Place
from vztmpl.ve.units import UNLIMITED

Warn = Callable[[str], None]
_USUAL_UNITS = 1024  # what a new group of version 1 has


def check(config: VEConfig, before: VEConfig | None = None) -> None:
    """Refuse settings that this host can't have; of those that were there before, only new ones."""
    before = before or _without_limits(config)
    if cpu.own(config) != cpu.own(before):
        cpu.check(config)
    if blkio.own(config) != blkio.own(before) and any(blkio.own(config)):
        blkio.disk_of(config, cgroup.host_hierarchies())


def not_enforced(config: VEConfig, names: Iterable[str], *, unified: bool) -> dict[str, str]:
    """Return which of these beancounters this host does not hold a VE to, and why."""
    given = config.beancounters
    asked = [name for name in names if name in given]
    found = beancounters.not_enforced(given, asked, unified=unified)
    if {"lockedpages", "numfile"} & set(asked):
        from vztmpl.ve import rlimits

        found |= rlimits.short_of({name: given[name] for name in asked})
    return found


def tell(reasons: Mapping[str, str], warn: Warn) -> None:
    """Say what this host can't enforce, and why."""
    for name, why in reasons.items():
        warn(f"{name} can't be enforced on this host: {why}")


def put_in_force(place: Place, config: VEConfig, warn: Warn) -> None:
    """Give a VE that is about to start its limits."""
    unified = place.group.hierarchies.unified
    if names := not_enforced(config, config.beancounters, unified=unified):
        warn(f"not enforced on this host: {', '.join(names)} (`vzubc {config.ctid}` says why)")
    nothing = _without_limits(config)
    _write_groups(place, config, nothing, warn)
    try:
        _write_disk(place, config, nothing)
    except VEError as error:
        warn(str(error))
    _bound_sockets(place, config, nothing, warn)
    _bound_namespaces(place, config, nothing, ("shmpages", "tcpsndbuf", "tcprcvbuf"))


def change(place: Place, config: VEConfig, before: VEConfig, warn: Warn) -> None:
    """Give a running VE other limits; VEError when the kernel refuses one."""
    _write_groups(place, config, before, warn)
    _write_disk(place, config, before)
    changed = _changed(config, before)
    if processes := changed & {"lockedpages", "numfile"}:
        from vztmpl.ve import rlimits

        rlimits.change(cgroup.members(place.group), config, processes)
    if "numsiginfo" in changed:
        warn("numsiginfo is in force from the next start of the container on")
    _bound_sockets(place, config, before, warn)
    _bound_namespaces(place, config, before, ("shmpages", "numpty", "tcpsndbuf", "tcprcvbuf"))


def settings(config: VEConfig, *, unified: bool) -> list[list[Setting]]:
    """Return what is written into the groups of every VE, in blocks that belong together."""
    given = config.beancounters
    limit = beancounters.limit(given, "numproc")
    return [
        memory.limits(given, unified=unified),
        memory.protections(given, unified=unified),
        memory.tcp_buffers(given, unified=unified),
        [Setting("pids", "pids.max", "max" if limit == UNLIMITED else str(limit), "numproc")],
        cpu.weight(config.cpuunits, unified=unified),
        cpu.quota(config, unified=unified),
    ]


def _without_limits(config: VEConfig) -> VEConfig:
    return config._replace(
        beancounters={}, cpuunits=_USUAL_UNITS, cpulimit=0, cpus=0, cpumask="", nodemask="",
        ioprio=None, iolimit=0, iopslimit=0,
    )  # fmt: skip


def _changed(config: VEConfig, before: VEConfig) -> set[str]:
    new, old = config.beancounters, before.beancounters
    return {name for name in {*new, *old} if new.get(name) != old.get(name)}


def _write_groups(place: Place, config: VEConfig, before: VEConfig, warn: Warn) -> None:
    unified = place.group.hierarchies.unified
    blocks = zip(settings(config, unified=unified), settings(before, unified=unified), strict=True)
    for new, old in blocks:
        if new != old:
            cgroup.write(place.group, _without_swap(place, new, warn))
    if unified and _changed(config, before) & {"vmguarpages", "oomguarpages"}:
        memory.protect_parent(place.group.v2.parent)
    if cpu.own(config) != cpu.own(before):
        cgroup.write(place.group, cpu.own_set(config))
        _show_cpus(place, config)


def _without_swap(place: Place, block: list[Setting], warn: Warn) -> list[Setting]:
    """Leave out the limit of swap where the kernel does not account it (Debian's before 6.1)."""
    missing = [
        each
        for each in block
        if each.parameter == "swappages"
        and not (place.group.folder(each.controller) / each.file).exists()
    ]
    if missing:
        warn("swappages can't be enforced on this host: boot it with swapaccount=1")
    return [each for each in block if each not in missing]


def _write_disk(place: Place, config: VEConfig, before: VEConfig) -> None:
    if blkio.own(config) != blkio.own(before):
        unified = place.group.hierarchies.unified
        disk = blkio.disk_of(config, place.group.hierarchies)
        new = blkio.settings(config, disk, unified=unified)
        old = blkio.settings(before, disk, unified=unified)
        cgroup.write(place.group, [each for each in new if each not in old])


def _bound_sockets(place: Place, config: VEConfig, before: VEConfig, warn: Warn) -> None:
    if not _changed(config, before) & {"numtcpsock", "numothersock"}:
        return
    from vztmpl.ve import sockets

    try:
        sockets.bound(place.group.v2, place.folder / SOCKETS_NOTE, config.beancounters)
    except OSError as error:
        warn(f"numtcpsock and numothersock can't be enforced on this host: {error.strerror}")


def _bound_namespaces(
    place: Place, config: VEConfig, before: VEConfig, names: Iterable[str]
) -> None:
    if changed := _changed(config, before) & set(names):
        from vztmpl.ve import namespaced

        for parameters, bound in namespaced.BOUNDS:
            if changed & set(parameters):
                bound(place.pid, config)


def _show_cpus(place: Place, config: VEConfig) -> None:
    from vztmpl.ve import namespaced

    usable = cpu.usable(config)
    text = namespaced.own_cpuinfo(Path("/proc/cpuinfo").read_text(), usable)
    namespaced.show_cpus(place.pid, place.folder, cpu.write_list(usable), text)
