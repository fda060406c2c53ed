"""Run a shell command in a container; exit code 8 when it fails.

The words are joined and given to the container's shell. `-` reads the commands from stdin.

Example: vzctl exec 101 'ps -e | wc -l'
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes, exec

ARGUMENTS = "COMMAND …"
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Become the command."""
    execute(call, failed=str(codes.COMMAND_EXECUTION_ERROR))


def execute(call: Call, failed: str) -> None:
    """Become the command; ``failed`` is the exit code when it fails, ``$?`` its own."""
    if not call.arguments:
        raise VEError(
            "no command given",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint=f"vzctl exec {call.ctid} COMMAND",
        )
    words = ["/bin/sh"] if list(call.arguments) == ["-"] else call.arguments
    exec.execute(call.node, call.ctid, exec.shell_command(words, failed))
