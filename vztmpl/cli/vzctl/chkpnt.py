"""Suspend a container in memory, or let it go on: what libvirt and panels call.

Writing a running container to disk (without an option, or --dump) is not possible here.

Example: vzctl chkpnt 101 --suspend
"""

from vztmpl.cli.vzctl import resume, suspend
from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes

ARGUMENTS = ""
OPTIONS = {
    "suspend": "freeze it in memory",
    "resume": "let it go on",
    "dump": "write it to disk: refused",
    "kill": "end it after a dump: refused",
    "dumpfile=": "FILE  where to: refused",
}


def run(call: Call) -> None:
    """Freeze the VE, or let it go on."""
    if call.has("suspend"):
        return suspend.run(call)
    if call.has("resume"):
        return resume.run(call)
    raise VEError(
        "can't write a running container to disk: the OCI runtimes here have no CRIU",
        vz_code=codes.CHKPNT_ERROR,
        hint=f"`vzctl suspend {call.ctid}` freezes it in memory",
    )
