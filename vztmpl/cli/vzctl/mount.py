"""Mount the root of a container that does not run, for the host to work on.

Example: vzctl mount 101 && ls /vz/root/101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Mount the VE's root."""
    from vztmpl.ve import lifecycle

    lifecycle.mount(call.node, call.ctid)
    call.say("Container is mounted")
