"""Remove a container that does not run, with all its files.

Its configuration is kept as CTID.conf.destroyed.

Example: vzctl destroy 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Destroy the VE."""
    from vztmpl.ve import lifecycle

    call.say("Destroying container private area")
    lifecycle.destroy(call.node, call.ctid)
    call.say("Container private area was destroyed")
