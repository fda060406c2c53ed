"""Run a program in a container without a shell; the exit code is the program's own.

Example: vzctl exec3 101 echo '$HOME'
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes, exec

ARGUMENTS = "PROGRAM …"
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Become the program."""
    if not call.arguments:
        raise VEError(
            "no program given",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint=f"vzctl exec3 {call.ctid} PROGRAM",
        )
    exec.execute(call.node, call.ctid, call.arguments)
