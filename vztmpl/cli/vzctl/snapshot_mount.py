"""Mount a snapshot read-only, for the host to look at.

Example: vzctl snapshot-mount 101 --id e8c7a1f0-5b7d-4a6e-9d0e-0f6b8c1d2e3f --target /mnt
"""

from pathlib import Path

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.snapshot import ID_OPTIONS, wanted
from vztmpl.ve.parameters import path

ARGUMENTS = ""
OPTIONS = {**ID_OPTIONS, "target=": "FOLDER  where; beside VE_ROOT unless given"}


def run(call: Call) -> None:
    """Mount it."""
    from vztmpl.ve import snapshot

    target = Path(path(call.value("target"))) if call.has("target") else None
    place = snapshot.mount(call.node, call.ctid, wanted(call), target)
    call.say(f"Snapshot is mounted at {place}")
