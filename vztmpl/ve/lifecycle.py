"""The life of a VE: create, start, stop, what happens when init ends, destroy.

Every function here takes the VE's lock. What a killed command left behind is told from the facts
(status.py) and undone by ``boot.tear_down`` before anything else is done: no command needs repair.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.files import locked, write_text
from vztmpl.settings import Node
from vztmpl.ve import (
    actions,
    area,
    claims,
    codes,
    ids,
    resources,
    runtime,
    services,
)
from vztmpl.ve import config as configuration
from vztmpl.ve.boot import bring_up, shut_down, tear_down
from vztmpl.ve.config import VEConfig
from vztmpl.ve.resources import Warn
from vztmpl.ve.status import recorded_boot, run_folder, running_boot, status


def lock_path(node: Node, ctid: int) -> Path:
    """Return the file whose lock every change of a VE takes."""
    return node.locks / f"{ctid}.lck"


def create(
    node: Node, ctid: int, base: Path, changes: Mapping[str, str], warn: Warn, *, sample: str
) -> None:
    """Make a VE from an unpacked template; ``changes`` are conf variables, OSTEMPLATE among them.

    The private area comes last: a VE exists when it does. A conf that is there already is used.
    ``warn`` is told of limits that this host can't enforce.
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
        claims.check_addresses(node, config)
        resources.check(config)
        claims.link_name(node, config)
        undo.callback(claims.unlink_name, node, config)
        write_text(conf, text)
        undo.callback(conf.unlink if found is None else lambda: write_text(conf, found))
        area.create_private(node, config, base)
        undo.pop_all()
        resources.tell(area.not_enforced(config), warn)


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
        bring_up(node, config, warn)
        services.remember(node, config)


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
        services.remember(node, config)


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
        configuration.forget(node, ctid)
        claims.unlink_name(node, config)
        services.forget(node, ctid)
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


def require_private(config: VEConfig) -> None:
    """VEError when a VE has no private area."""
    if not config.private.is_dir():
        raise VEError(
            f"Container private area {config.private} does not exist",
            vz_code=codes.FS_NOPRVT,
            hint=f"`vzctl create {config.ctid} --ostemplate NAME` makes one",
        )
