"""Make a container from an OS template, which is fetched when it is not in the cache.

A name without its set means the only set that there is. Settings of `vzctl set` may be given as
well. The configuration begins as a copy of ve-NAME.conf-sample.

Example: vzctl create 101 --ostemplate debian-12-x86_64-minimal --hostname web --ipadd 10.0.0.101
"""

from typing import TYPE_CHECKING

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.set import LETTERS, PARAMETER_OPTIONS, changes  # noqa: F401 - vzctl reads it
from vztmpl.errors import VEError
from vztmpl.ve import codes, disk
from vztmpl.ve.parameters import ADDRESS, LISTS, PARAMETERS

if TYPE_CHECKING:
    from vztmpl.repo.cache import Cache

ARGUMENTS = ""
OPTIONS = {
    "ostemplate=": "NAME  OS template (`vztmpl list` shows those in the cache)",
    "config=": "NAME  the sample configuration to begin with",
    "layout=": "NAME  overlay, simfs, btrfs or ploop (docs/layouts.md)",
    **PARAMETER_OPTIONS,
}


def run(call: Call) -> None:
    """Create the VE."""
    from vztmpl.repo.cache import Cache
    from vztmpl.ve import lifecycle

    node = call.node
    name = _template(call)
    if not name:
        raise VEError(
            "OS template is not specified",
            vz_code=codes.VE_OSTEMPLATE_NOTSET,
            hint="add --ostemplate NAME, or set DEF_OSTEMPLATE in vz.conf",
        )
    cache = Cache(node.cache, node.bases, node.locks)
    name = _in_cache(call, cache, name)
    options = [each for each in call.options if each != ("name", str(call.ctid))]  # libvirt's
    parameters = (*PARAMETERS, ADDRESS, *LISTS)
    wanted = {**changes(call._replace(options=options), parameters), "OSTEMPLATE": name}
    if call.has("layout"):
        wanted["VE_LAYOUT"] = disk.layout(call.value("layout"))
    call.say(f"Creating container private area ({name})")
    with cache.using(name) as base:
        sample = call.value("config")
        lifecycle.create(node, call.ctid, base, wanted, call.warn, sample=sample)
    call.say(f"CT configuration saved to {node.etc}/conf/{call.ctid}.conf")
    call.say("Container private area was created")


def _template(call: Call) -> str:
    """Return the OS template asked for, or the default one.

    libvirt 9 gives a piece of its own memory in place of the name that it was given.
    """
    default = call.node.setting("DEF_OSTEMPLATE")
    name = call.value("ostemplate") or default
    if not name.isprintable():
        call.warn(f"--ostemplate is not text; using {default or 'none'}")
        return default
    return name


def _in_cache(call: Call, cache: "Cache", name: str) -> str:
    """Return the name of the cached template that is meant, after fetching it if need be."""
    if cache.files(name).manifest.is_file():
        return name
    from vztmpl.cli.vztmpl.fetching import fetch_all
    from vztmpl.cli.vztmpl.parts import remotes
    from vztmpl.template.name import the_one

    if meant := the_one(name, (entry.name for entry in cache.entries() if entry.manifest)):
        return meant
    if not remotes(call.node).all():
        return name  # using it says what to do
    call.say(f"{name} is not in the cache, fetching it")
    fetched, failed = fetch_all(call.node, [name])
    if failed:
        raise failed[0]
    return fetched[0].manifest.name
