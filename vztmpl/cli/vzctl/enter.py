"""Open a shell in a container, on a terminal of the container's own.

With --exec the words after it are run first, in the same shell.

Example: vzctl enter 101
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes, exec

ARGUMENTS = "[--exec COMMAND …]"
OPTIONS: dict[str, str] = {}


def run(call: Call) -> int:
    """Open the shell."""
    words = list(call.arguments)
    if words and words.pop(0) != "--exec":
        raise VEError(
            f"unexpected argument {call.arguments[0]!r}", vz_code=codes.INVALID_PARAMETER_SYNTAX
        )
    call.say(f"entered into CT {call.ctid}")
    status = exec.enter(call.node, call.ctid, exec.login_command(words))
    call.say(f"exited from CT {call.ctid}")
    return status
