"""Shut a container down.

Its init is asked to halt, and killed after STOP_TIMEOUT seconds (120 unless set otherwise).

Example: vzctl stop 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS = {"fast": "kill it at once", "skip-umount": "leave its root mounted"}


def run(call: Call) -> None:
    """Stop the VE."""
    from vztmpl.ve import lifecycle

    call.say("Stopping container ...")
    fast, unmount = call.has("fast"), not call.has("skip-umount")
    ran = lifecycle.stop(call.node, call.ctid, fast=fast, unmount=unmount)
    call.say("Container was stopped" if ran else "Container is not running")
