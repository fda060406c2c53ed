"""Give a stopped container the files of its OS template again.

Configuration and addresses stay. The old files are kept as a snapshot: `snapshot-mount` shows
them, `snapshot-switch` brings them back.

Example: vzctl reinstall 101 --ostemplate debian-13-x86_64-minimal
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes

ARGUMENTS = ""
OPTIONS = {
    "ostemplate=": "NAME  another template than the container's own",
    "skipbackup": "do not keep the old files",
}


def run(call: Call) -> None:
    """Reinstall the VE."""
    from vztmpl.repo.cache import Cache
    from vztmpl.ve import rebuild
    from vztmpl.ve.config import load

    node = call.node
    name = call.value("ostemplate") or load(node, call.ctid).ostemplate
    if not name:
        raise VEError("OS template is not specified", vz_code=codes.VE_OSTEMPLATE_NOTSET)
    call.say(f"Reinstalling container ({name})")
    with Cache(node.cache, node.bases, node.locks).using(name) as base:
        kept = rebuild.reinstall(node, call.ctid, base, name, keep=not call.has("skipbackup"))
    if kept:
        call.say(f"The old files are snapshot {{{kept}}}")
    call.say("Container was reinstalled")
