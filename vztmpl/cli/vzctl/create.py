"""Make a container from an OS template in the cache.

Settings of `vzctl set` may be given as well. The configuration begins as a copy of
ve-NAME.conf-sample.

Example: vzctl create 101 --ostemplate debian-12-x86_64-minimal --hostname web --ipadd 10.0.0.101
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.set import PARAMETER_OPTIONS, changes
from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.parameters import ADDRESS, LISTS, PARAMETERS

ARGUMENTS = ""
OPTIONS = {
    "ostemplate=": "NAME  OS template (`vztmpl list` shows those in the cache)",
    "config=": "NAME  the sample configuration to begin with",
    **PARAMETER_OPTIONS,
}


def run(call: Call) -> None:
    """Create the VE."""
    from vztmpl.repo.cache import Cache
    from vztmpl.ve import lifecycle

    node = call.node
    name = call.value("ostemplate") or node.setting("DEF_OSTEMPLATE")
    if not name:
        raise VEError(
            "OS template is not specified",
            vz_code=codes.VE_OSTEMPLATE_NOTSET,
            hint="add --ostemplate NAME, or set DEF_OSTEMPLATE in vz.conf",
        )
    wanted = {**changes(call, (*PARAMETERS, ADDRESS, *LISTS)), "OSTEMPLATE": name}
    call.say(f"Creating container private area ({name})")
    with Cache(node.cache, node.bases, node.locks).using(name) as base:
        lifecycle.create(node, call.ctid, base, call.value("config"), wanted)
    call.say(f"CT configuration saved to {node.etc}/conf/{call.ctid}.conf")
    call.say("Container private area was created")
