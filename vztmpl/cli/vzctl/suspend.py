"""Freeze all processes of a running container where they stand, in memory.

Example: vzctl suspend 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Freeze the VE."""
    from vztmpl.ve import suspend

    suspend.suspend(call.node, call.ctid)
    call.say("Container is suspended")
