"""Stopping all of a VE's processes where they stand, and letting them go on.

The freezer is one of cgroup version 2 itself, not of a controller: it works on every host, because
every VE has a group there. A file in the run folder says that a VE is frozen, so that nobody else
has to ask the kernel.
"""

import select
import time
from pathlib import Path

from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import cgroup, codes
from vztmpl.ve.cgroup import Group
from vztmpl.ve.status import run_folder

_SECONDS = 10


def is_frozen(node: Node, ctid: int) -> bool:
    """Say whether a VE is frozen."""
    return _mark(node, ctid).exists()


def freeze(node: Node, ctid: int) -> None:
    """Freeze a running VE; VEError when a process of it can't be stopped, and then none is."""
    group = cgroup.of_ve(node.tag, ctid)
    _mark(node, ctid).touch()
    _write(group, "1")
    if not _is_complete(group):
        thaw(node, ctid)
        raise VEError(
            f"VE {ctid} does not freeze: a process of it hangs in the kernel",
            vz_code=codes.CHKPNT_ERROR,
            hint="`ps -eo pid,stat,wchan:30,args` shows where",
        )


def thaw(node: Node, ctid: int) -> None:
    """Let a VE go on; one that is not frozen does so anyway."""
    if is_frozen(node, ctid):
        _write(cgroup.of_ve(node.tag, ctid), "0")
        _mark(node, ctid).unlink()


def _is_complete(group: Group) -> bool:
    """Wait until the last process is frozen (cgroup.events, cgroup-v2.rst)."""
    until = time.monotonic() + _SECONDS
    with (group.v2 / "cgroup.events").open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while "frozen 1" not in events.read():
            if time.monotonic() > until:
                return False
            poll.poll(1000)
            events.seek(0)
    return True


def _write(group: Group, value: str) -> None:
    (group.v2 / "cgroup.freeze").write_text(value)


def _mark(node: Node, ctid: int) -> Path:
    return run_folder(node, ctid) / "frozen"
