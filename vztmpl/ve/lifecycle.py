"""The life of a VE: create, start, stop, what happens when init ends, change, destroy.

Every function here takes the VE's lock. What a killed command left behind is told from the facts
(status.py) and undone by ``boot.tear_down`` before anything else is done: no command needs repair.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.files import locked, write_text
from vztmpl.settings import Node
from vztmpl.ve import (
    actions,
    area,
    cgroup,
    codes,
    hostcpu,
    ids,
    inside,
    links,
    resources,
    runtime,
    services,
)
from vztmpl.ve import config as configuration
from vztmpl.ve.boot import bring_up, shut_down, tear_down
from vztmpl.ve.config import VEConfig
from vztmpl.ve.readings import Place
from vztmpl.ve.resources import Warn
from vztmpl.ve.status import Boot, recorded_boot, run_folder, running_boot, status


def lock_path(node: Node, ctid: int) -> Path:
    """Return the file whose lock every change of a VE takes."""
    return node.locks / f"{ctid}.lck"


def create(node: Node, ctid: int, base: Path, sample: str, changes: Mapping[str, str]) -> None:
    """Make a VE from an unpacked template; ``changes`` are conf variables, OSTEMPLATE among them.

    The private area comes last: a VE exists when it does. A conf that is there already is used.
    """
    with locked(lock_path(node, ctid)), ExitStack() as undo:
        conf = configuration.conf_path(node, ctid)
        conf.parent.mkdir(parents=True, exist_ok=True)
        found = shellvars.read_text(conf) if conf.exists() else None
        if found is not None and sample:
            raise VEError(
                f"Container config {conf} exists; --config can't be used",
                vz_code=codes.CP_CONFIG,
                hint="remove the file, or leave --config out to use it",
            )
        text = configuration.sample(node, sample) if found is None else found
        first_id = ids.allocate_ids(node, ctid)
        ours = {"ONBOOT": shellvars.parse(text).get("ONBOOT", "no")}
        ours |= {"LOCAL_UID": str(first_id), "LOCAL_GID": str(first_id)}
        text = shellvars.updated(text, {**ours, **changes})
        config = configuration.parse(node, ctid, text, conf)
        if config.private.exists():
            raise VEError(
                f"Container private area already exists in {config.private}",
                vz_code=codes.FS_PRVT_AREA_EXIST,
                hint=f"`vzctl destroy {ctid}` removes it, or choose another CT ID",
            )
        undo.callback(ids.free_ids, node, config)
        area.refuse_unkept(config, changes)
        configuration.check_addresses(node, config)
        resources.check(config)
        configuration.link_name(node, config)
        undo.callback(configuration.unlink_name, node, config)
        write_text(conf, text)
        undo.callback(conf.unlink if found is None else lambda: write_text(conf, found))
        area.create_private(node, config, base)
        undo.pop_all()


def start(node: Node, ctid: int, warn: Warn) -> None:
    """Boot a VE; it has its limits and its network before its init runs.

    ``warn`` is told of limits that this host can't enforce.
    """
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        if config.disabled:
            raise VEError(
                "Container start disabled",
                vz_code=codes.VE_START_DISABLED,
                hint=f"vzctl set {ctid} --disabled no --save",
            )
        if running_boot(node, ctid):
            raise VEError("Container is already running", vz_code=codes.VE_RUNNING)
        require_private(config)
        for line in config.isolation.warnings() if config.isolation else ():
            warn(line)
        bring_up(node, config, warn)
        services.remember(node, config)


def unkept(node: Node, ctid: int) -> list[str]:
    """Say which disk limits of a VE nothing keeps here, and why."""
    return area.unkept(configuration.load(node, ctid))


def stop(
    node: Node,
    ctid: int,
    *,
    fast: bool = False,
    unmount: bool = True,
    within_seconds: int | None = None,
    forget: bool = True,
) -> bool:
    """Shut a VE down: its init is asked, and killed after STOP_TIMEOUT; ``fast`` kills at once.

    ``within_seconds`` may shorten that time. ``forget`` is False when the node goes down and the
    VE is to come up with it again. Return whether it was running; what is left of one that was
    not is cleared away all the same.
    """
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        if within_seconds is not None:
            patience = min(config.stop_timeout_seconds, within_seconds)
            config = config._replace(stop_timeout_seconds=patience)
        ran = shut_down(node, config, fast=fast)
        tear_down(node, config, unmount=unmount)
        if forget:
            services.forget(node, ctid)
        return ran


def restart(node: Node, ctid: int, warn: Warn) -> None:
    """Stop a VE if it runs, and start it."""
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        shut_down(node, config, fast=False)
        require_private(config)
        bring_up(node, config, warn)


def init_ended(node: Node, ctid: int, token: str, warn: Warn) -> None:
    """Do what is due when a VE's init ended by itself: boot again after a reboot, else clear away.

    conmon calls it. ``token`` names the life that ended; news of an earlier life is passed over.
    """
    with locked(lock_path(node, ctid), wait=True):
        boot = recorded_boot(node, ctid)
        if boot is None or boot.token != token:
            return
        config = configuration.load(node, ctid)
        if runtime.exit_status(node, ctid) == runtime.REBOOT and not config.disabled:
            bring_up(node, config, warn)
        else:
            tear_down(node, config)
            services.forget(node, ctid)


def destroy(node: Node, ctid: int) -> None:
    """Remove a VE that does not run: its private area for ever, its conf to ``.conf.destroyed``."""
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        now = status(node, config)
        if now.running:
            raise VEError(
                "Container is currently running. Stop it before proceeding.",
                vz_code=codes.VE_RUNNING,
                hint=f"vzctl stop {ctid}",
            )
        if now.mounted and not run_folder(node, ctid).exists():
            raise VEError(
                "Container is currently mounted (umount first)",
                vz_code=codes.FS_MOUNTED,
                hint=f"vzctl umount {ctid}",
            )
        tear_down(node, config)
        area.destroy_private(config)
        ids.free_ids(node, config)
        configuration.forget(node, config)
        runtime.console_log(node, ctid).unlink(missing_ok=True)
        if config.root.is_dir() and not any(config.root.iterdir()):
            config.root.rmdir()


def mount(node: Node, ctid: int) -> None:
    """Mount a stopped VE's root for the host to work on."""
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        if status(node, config).mounted:
            raise VEError("Container is already mounted", vz_code=codes.FS_MOUNTED)
        require_private(config)
        actions.mount_root(node, config)


def unmount(node: Node, ctid: int) -> None:
    """Unmount a stopped VE's root."""
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        now = status(node, config)
        if now.running:
            raise VEError(
                "Container is running -- stop it first",
                vz_code=codes.VE_RUNNING,
                hint=f"vzctl stop {ctid}",
            )
        if not now.mounted:
            raise VEError("Container is not mounted", vz_code=codes.FS_NOT_MOUNTED)
        actions.unmount_root(node, config)


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
        configuration.check_addresses(node, after)
        _check_disk(node, before, after, changes, save=save)
        resources.check(after, before)
        groups = cgroup.of_ve(node.tag, ctid)
        for name, why in resources.not_enforced(
            after, map(str.lower, changes), unified=groups.hierarchies.unified
        ).items():
            warn(f"{name} can't be enforced on this host: {why}")
        if boot and not later and before.isolation != after.isolation:
            raise VEError(
                "capabilities, features, devices and netfilter of a running container can't change",
                vz_code=codes.VE_RUNNING,
                hint="add --save, and --setmode restart, or --setmode ignore until it starts again",
            )
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
                configuration.link_name(node, after)
                configuration.unlink_name(node, before)
            configuration.save(node, ctid, changes)
            unsaved = {name: unsaved[name] for name in unsaved if name not in changes}
        if boot:
            configuration.write_unsaved(node, ctid, unsaved)
        return boot is not None


def require_private(config: VEConfig) -> None:
    """VEError when a VE has no private area."""
    if not config.private.is_dir():
        raise VEError(
            f"Container private area {config.private} does not exist",
            vz_code=codes.FS_NOPRVT,
            hint=f"`vzctl create {config.ctid} --ostemplate NAME` makes one",
        )


def _apply(node: Node, boot: Boot, before: VEConfig, after: VEConfig) -> None:
    links.change(node, boot.pid, before, after)
    names = ("hostname", "nameservers", "search_domains")
    if any(getattr(before, name) != getattr(after, name) for name in names):
        inside.write_names(after)
    if after.hostname and after.hostname != before.hostname:
        inside.set_hostname(boot.pid, after.hostname)


def _unheard(_line: str) -> None:
    pass


def _check_disk(
    node: Node, before: VEConfig, after: VEConfig, changes: Collection[str], *, save: bool
) -> None:
    area.refuse_unkept(after, changes)
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
