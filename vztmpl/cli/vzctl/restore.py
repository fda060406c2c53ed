"""Let a suspended container go on.

Bringing one back from disk (--dumpfile, --undump) is not possible here.

Example: vzctl restore 101
"""

from vztmpl.cli.vzctl import resume
from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes

ARGUMENTS = ""
OPTIONS = {
    "resume": "let it go on",
    "undump": "bring it back from disk: refused",
    "kill": "end it: refused",
    "dumpfile=": "FILE  where from: refused",
}


def run(call: Call) -> None:
    """Let the VE go on."""
    if any(call.has(option) for option in ("undump", "kill", "dumpfile")):
        raise VEError(
            "can't bring a container back from disk: the OCI runtimes here have no CRIU",
            vz_code=codes.RESTORE_ERROR,
            hint=f"vzctl start {call.ctid}",
        )
    resume.run(call)
