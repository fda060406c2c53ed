"""Changing a VE's settings, at once where it runs."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.files import locked
from vztmpl.settings import Node
from vztmpl.ve import area, cgroup, claims, codes, hostcpu, inside, links, resources
from vztmpl.ve import config as configuration
from vztmpl.ve.config import VEConfig
from vztmpl.ve.lifecycle import lock_path
from vztmpl.ve.readings import Place
from vztmpl.ve.resources import Warn
from vztmpl.ve.status import Boot, run_folder, running_boot, status


def change(
    node: Node,
    ctid: int,
    decide: Callable[[VEConfig], Mapping[str, str | None]],
    warn: Warn,
    *,
    save: bool,
    later: bool = False,
) -> bool:
    """Change a VE's settings, at once where it runs; return whether it does.

    ``decide`` sees the present settings and returns conf variables. All or nothing: what the
    kernel refuses is not saved. ``warn`` is told of limits that this host can't enforce. ``later``:
    what a running VE can't get may wait for its next start.
    """
    with locked(lock_path(node, ctid)):
        boot = running_boot(node, ctid)
        before = configuration.load_live(node, ctid) if boot else configuration.load(node, ctid)
        changes = decide(before)
        unsaved = {**(configuration.read_unsaved(node, ctid) if boot else {}), **changes}
        conf = configuration.conf_path(node, ctid)
        text = shellvars.updated(shellvars.read_text(conf), unsaved)
        after = configuration.parse(node, ctid, text, conf)
        claims.check_addresses(node, after)
        _check_disk(node, before, after, save=save)
        resources.check(after, before)
        if boot and not later:
            _check_isolation(before, after)
        groups = cgroup.of_ve(node.tag, ctid)
        _tell_not_enforced(after, changes, warn, unified=groups.hierarchies.unified)
        if boot:
            place = Place(groups, boot.pid, run_folder(node, ctid))
            with ExitStack() as undo:
                undo.callback(resources.change, place, before, after, _unheard)
                resources.change(place, after, before, warn)
                _apply(node, boot, before, after)
                undo.pop_all()
            hostcpu.balance(node)
        if after.disk != before.disk and after.private.is_dir():
            area.bound(after)
        if save:
            if after.name != before.name:
                claims.link_name(node, after)
                claims.unlink_name(node, before)
            configuration.save(node, ctid, changes)
            unsaved = {name: unsaved[name] for name in unsaved if name not in changes}
        if boot:
            configuration.write_unsaved(node, ctid, unsaved)
        return boot is not None


def _check_disk(node: Node, before: VEConfig, after: VEConfig, *, save: bool) -> None:
    moved = (before.private, before.root) != (after.private, after.root)
    if moved and (status(node, before).mounted or status(node, before).running):
        raise VEError(
            "VE_PRIVATE and VE_ROOT can't be changed while the container runs or is mounted",
            vz_code=codes.VE_RUNNING,
            hint=f"vzctl stop {after.ctid}",
        )
    if after.disk != before.disk and not save and area.layout_of(after) == "ploop":
        raise VEError(
            "the size of an image lasts: it works together with --save only",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint="add --save",
        )


def _check_isolation(before: VEConfig, after: VEConfig) -> None:
    if before.isolation != after.isolation:
        raise VEError(
            "capabilities, features, devices and netfilter of a running container can't change",
            vz_code=codes.VE_RUNNING,
            hint="add --save, and --setmode restart, or --setmode ignore until it starts again",
        )


def _tell_not_enforced(
    config: VEConfig, changes: Iterable[str], warn: Warn, *, unified: bool
) -> None:
    names = [name.lower() for name in changes]
    reasons = resources.not_enforced(config, names, unified=unified)
    resources.tell({**reasons, **area.not_enforced(config, names)}, warn)


def _apply(node: Node, boot: Boot, before: VEConfig, after: VEConfig) -> None:
    links.change(node, boot.pid, before, after)
    names = ("hostname", "nameservers", "search_domains")
    if any(getattr(before, name) != getattr(after, name) for name in names):
        inside.write_names(after)
    if after.hostname and after.hostname != before.hostname:
        inside.set_hostname(boot.pid, after.hostname)


def _unheard(_line: str) -> None:
    pass
