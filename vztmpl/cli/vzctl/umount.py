"""Unmount the root of a container that does not run.

Example: vzctl umount 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Unmount the VE's root."""
    from vztmpl.ve import lifecycle

    lifecycle.unmount(call.node, call.ctid)
    call.say("Container is unmounted")
