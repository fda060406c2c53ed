"""Suspending a VE and resuming it: ``vzctl suspend``, ``chkpnt --suspend`` and their opposites."""

from vztmpl.errors import VEError
from vztmpl.files import locked
from vztmpl.settings import Node
from vztmpl.ve import codes, freezer
from vztmpl.ve.lifecycle import lock_path
from vztmpl.ve.status import require_running


def suspend(node: Node, ctid: int) -> None:
    """Freeze a running VE where it stands; it keeps its memory, and loses nothing but time."""
    with locked(lock_path(node, ctid)):
        require_running(node, ctid)
        if freezer.is_frozen(node, ctid):
            raise VEError("Container is already suspended", vz_code=codes.CHKPNT_ERROR)
        freezer.freeze(node, ctid)


def resume(node: Node, ctid: int) -> None:
    """Let a frozen VE go on."""
    with locked(lock_path(node, ctid)):
        require_running(node, ctid)
        if not freezer.is_frozen(node, ctid):
            raise VEError("Container is not suspended", vz_code=codes.RESTORE_ERROR)
        freezer.thaw(node, ctid)
