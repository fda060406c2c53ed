"""Run a script of the host's inside a container; the exit code is the script's own.

It runs on the stdin and stdout of this command. A container that does not run has its root, its
limits and its isolation for it, but nothing of its own is started.

Example: vzctl runscript 101 ./set-up.sh
"""

from pathlib import Path

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes

ARGUMENTS = "SCRIPT [ARGUMENT …]"
OPTIONS: dict[str, str] = {}


def run(call: Call) -> int:
    """Run the script."""
    from vztmpl.ve import inhabit

    script, *arguments = call.arguments or ("",)
    if not Path(script).is_file():
        raise VEError(
            f"not a script file: {script or 'none given'}",
            vz_code=codes.NOSCRIPT,
            hint=f"vzctl runscript {call.ctid} SCRIPT",
        )
    return inhabit.run_script(call.node, call.ctid, Path(script), arguments, call.warn)
