"""Unmount a snapshot.

Example: vzctl snapshot-umount 101 --id e8c7a1f0-5b7d-4a6e-9d0e-0f6b8c1d2e3f
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.snapshot import ID_OPTIONS, wanted

ARGUMENTS = ""
OPTIONS = ID_OPTIONS


def run(call: Call) -> None:
    """Unmount it."""
    from vztmpl.ve import snapshot

    snapshot.unmount(call.node, call.ctid, wanted(call))
    call.say("Snapshot is unmounted")
