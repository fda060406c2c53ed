"""Say whether a container exists, is mounted, is running.

The line is always there, also for a container that is not, and also with --quiet:
CTID 101 exist|deleted mounted|unmounted running|down[ suspended]

Example: vzctl status 101
"""

import sys

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Print the VE's status."""
    from vztmpl.ve.config import load
    from vztmpl.ve.freezer import is_frozen
    from vztmpl.ve.status import Status, status

    try:
        now = status(call.node, load(call.node, call.ctid))
    except VEError:
        now = Status(exists=False, mounted=False, boot=None)
    words = (
        "exist" if now.exists else "deleted",
        "mounted" if now.mounted else "unmounted",
        "running" if now.running else "down",
    )
    frozen = " suspended" if now.running and is_frozen(call.node, call.ctid) else ""
    sys.stdout.write(f"CTID {call.ctid} {' '.join(words)}{frozen}\n")
