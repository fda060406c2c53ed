"""Delete a snapshot; the container's files and other snapshots stay as they are.

Example: vzctl snapshot-delete 101 --id e8c7a1f0-5b7d-4a6e-9d0e-0f6b8c1d2e3f
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.snapshot import ID_OPTIONS, wanted

ARGUMENTS = ""
OPTIONS = ID_OPTIONS


def run(call: Call) -> None:
    """Delete it."""
    from vztmpl.ve import snapshot

    uuid = wanted(call)
    snapshot.delete(call.node, call.ctid, uuid)
    call.say(f"Snapshot {{{uuid}}} has been deleted")
