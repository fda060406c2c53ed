"""Run a shell command in a container; the exit code is the command's own.

The words are joined and given to the container's shell. `-` reads the commands from stdin.

Example: vzctl exec2 101 systemctl is-system-running
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.exec import execute

ARGUMENTS = "COMMAND …"
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Become the command."""
    execute(call, failed="$?")
