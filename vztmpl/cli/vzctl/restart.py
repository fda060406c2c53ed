"""Stop a container if it runs, and start it.

Example: vzctl restart 101
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.start import WAIT_OPTION, wait

ARGUMENTS = ""
OPTIONS = WAIT_OPTION


def run(call: Call) -> int | None:
    """Restart the VE."""
    from vztmpl.ve import lifecycle

    call.say("Restarting container ...")
    lifecycle.restart(call.node, call.ctid, call.warn)
    call.say("Container start in progress...")
    return wait(call) if call.has("wait") else 0
