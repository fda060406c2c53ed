"""Let a suspended container go on.

Example: vzctl resume 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Let the VE go on."""
    from vztmpl.ve import suspend

    suspend.resume(call.node, call.ctid)
    call.say("Container is resumed")
