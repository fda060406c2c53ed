"""Look at a container's console, and type there; Esc and then . leaves it.

Example: vzctl console 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Join the console."""
    from vztmpl.ve import console

    call.say(f"Attached to CT {call.ctid} (Esc . to detach)")
    console.attach(call.node, call.ctid)
    call.say(f"Detached from CT {call.ctid}")
