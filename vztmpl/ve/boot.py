"""One life of a VE: bringing it up, shutting it down, and clearing away all that it used.

The caller holds the VE's lock. ``tear_down`` works on whatever it finds, so it serves a clean stop,
a start that failed half-way and the remains of a killed command alike.
"""

import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from vztmpl.errors import LockedError, VEError
from vztmpl.files import locked, remove_abandoned, remove_tree, write_text
from vztmpl.settings import Node
from vztmpl.ve import (
    actions,
    area,
    cgroup,
    codes,
    devices,
    freezer,
    guest,
    hostcpu,
    inits,
    inside,
    links,
    resources,
    runtime,
    spec,
)
from vztmpl.ve.cgroup import Group
from vztmpl.ve.config import VEConfig
from vztmpl.ve.mounts import is_mounted
from vztmpl.ve.readings import Place
from vztmpl.ve.resources import Warn
from vztmpl.ve.rlimits import user_namespace
from vztmpl.ve.status import (
    Boot,
    recorded_boot,
    run_folder,
    running_boot,
    start_time,
    state_path,
)

INIT = ("/sbin/init",)
_STOPPING = "stopping"  # in place of the token: whoever shuts the VE down also tears it down
_KILL_SECONDS = 10
_CONMON_SECONDS = 2


def bring_up(node: Node, config: VEConfig, warn: Warn, init: Sequence[str] = INIT) -> None:
    """Boot a VE that does not run: it has its limits and its network before its init runs.

    With another program as ``init`` the VE's own life does not begin: its start script waits too.
    """
    ctid = config.ctid
    tear_down(node, config, unmount=False)
    groups = cgroup.of_ve(node.tag, ctid)
    token = os.urandom(8).hex()
    with ExitStack() as undo, user_namespace(config) as users:
        undo.callback(tear_down, node, config)
        if not is_mounted(config.root):
            actions.mount_root(node, config)
        resources.tell(area.not_enforced(config), warn)
        for line in config.isolation.warnings() if config.isolation else ():
            warn(line)
        inside.write_names(config)
        folder = run_folder(node, ctid)
        (folder / "exit").mkdir(parents=True)
        folder.chmod(0o700)
        runtime.console_log(node, ctid).parent.mkdir(parents=True, exist_ok=True)
        hostname = config.hostname or config.name.replace(" ", "-") or f"ve{ctid}"
        place = runtime.root_place(node, config)
        devices.prepare(node, ctid)
        nodes = devices.provide(node, config)
        content = spec.spec(
            config, hostname, place, groups.name, init=init, devices=nodes, users=users
        )
        spec.write(folder, content)
        with locked(_parents_lock(node), shared=True, wait=True):
            cgroup.delegate(groups, config.first_id)
            pid = runtime.create(node, config, groups, token, _on_exit(ctid, token))
        guest.prepare(config, pid)
        resources.put_in_force(Place(groups, pid, folder), config, warn)
        hostcpu.balance(node)
        links.attach(node, config, pid)
        write_text(state_path(node, ctid), f"{pid} {start_time(pid)} {token}\n")
        runtime.start(node, ctid)
        if init == INIT:
            actions.run_inside(node, ctid, "start")
        undo.pop_all()


def shut_down(node: Node, config: VEConfig, *, fast: bool) -> bool:
    """End a VE's init and wait until it is gone; return whether there was one."""
    boot = running_boot(node, config.ctid)
    if boot is None:
        return False
    freezer.thaw(node, config.ctid)
    if not fast:
        actions.run_inside(node, config.ctid, "stop")
    _claim_end(node, config.ctid, boot)
    with suppress(ProcessLookupError):
        init = os.pidfd_open(boot.pid)
        try:
            if start_time(boot.pid) == boot.start_time:
                _end(node, config, boot.pid, init, fast=fast)
        finally:
            os.close(init)
    return True


def tear_down(node: Node, config: VEConfig, *, unmount: bool = True) -> None:
    """Take away all that a VE's life needs; what is not there is fine."""
    ctid = config.ctid
    folder = run_folder(node, ctid)
    groups = cgroup.of_ve(node.tag, ctid)
    if folder.exists() or groups.folders():
        if boot := recorded_boot(node, ctid):
            _claim_end(node, ctid, boot)
        for pid in cgroup.members(groups):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _end_conmon(node, ctid, groups)
        runtime.forget(node, ctid)
        links.detach(node, ctid)
        cgroup.remove(groups)
        _remove_parents(node, groups)
        hostcpu.balance(node)
    try:
        if unmount:
            actions.unmount_root(node, config)
    finally:
        _remove_folder(node, ctid)


def _claim_end(node: Node, ctid: int, boot: Boot) -> None:
    """Have conmon leave it to us what is done when this life of the VE ends."""
    if boot.token != _STOPPING:
        write_text(state_path(node, ctid), f"{boot.pid} {boot.start_time} {_STOPPING}\n")


def _remove_folder(node: Node, ctid: int) -> None:
    folder = run_folder(node, ctid)
    devices.withdraw(node, ctid)
    remove_tree(folder)
    remove_abandoned(folder)


def _end(node: Node, config: VEConfig, pid: int, init: int, *, fast: bool) -> None:
    """Ask an init to end, then make it; ``init`` is the pidfd of ``pid``."""
    if not fast:
        inits.ask_to_end(node, config.ctid, pid, init)
        if _ends(init, config.stop_timeout_seconds):
            return
    signal.pidfd_send_signal(init, signal.SIGKILL)
    if not _ends(init, _KILL_SECONDS):
        raise VEError(
            f"VE {config.ctid} does not end: its init survived SIGKILL",
            vz_code=codes.STOP_ERROR,
            hint="a process of it hangs in the kernel; `ps -eo pid,stat,wchan:30,args` shows where",
        )


def _end_conmon(node: Node, ctid: int, groups: Group) -> None:
    """Wait for the VE's conmon to end; when it is the one that runs us, just let it out."""
    pid = runtime.conmon_pid(node, ctid)
    if not pid:
        return
    if pid == os.getppid():
        for leaving in (pid, os.getpid()):
            cgroup.move(leaving, groups.hierarchies.v2)
        return
    with suppress(ProcessLookupError):
        conmon = os.pidfd_open(pid)
        try:
            if not _ends(conmon, _CONMON_SECONDS):
                signal.pidfd_send_signal(conmon, signal.SIGKILL)
                _ends(conmon, _CONMON_SECONDS)
        finally:
            os.close(conmon)


def _ends(pidfd: int, timeout_seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_seconds * 1000))


def _remove_parents(node: Node, groups: Group) -> None:
    """Remove the node's own groups with its last VE, unless one is just being started."""
    parent = groups._replace(name=cgroup.parent_name(node.tag))
    conmons = runtime.conmon_group(groups)
    with suppress(LockedError), locked(_parents_lock(node)):
        cgroup.remove_if_empty([*conmons.folders(), *parent.folders()])


def _parents_lock(node: Node) -> Path:
    return node.locks / "cgroups.lck"


def _on_exit(ctid: int, token: str) -> list[str]:
    return [sys.executable, "-m", "vztmpl.cli.vzctl", "init-ended", str(ctid), token]
