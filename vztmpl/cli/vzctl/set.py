"""Change a container's settings, at once where it runs; --save keeps them.

--ram and --swap bound the memory. The beancounters take barrier:limit, or one value for both:
PAGES of 4 KB, BYTES, either with a suffix (K M G T, P for pages), plain NUMbers, or `unlimited`.
For CT 0, the node itself, there is --cpuunits.

Example: vzctl set 101 --ram 512M --swap 1G --numproc 200 --cpuunits 2000 --save
"""

from collections.abc import Mapping, Sequence

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig
from vztmpl.ve.parameters import ADDRESS, LISTS, PARAMETERS, Parameter

ARGUMENTS = "[--save]"
PARAMETER_OPTIONS = {
    f"{each.option}=": f"{each.value}  {each.help}" for each in (*PARAMETERS, ADDRESS, *LISTS)
}
OPTIONS = {
    **PARAMETER_OPTIONS,
    "ipdel=": "ADDRESS|all  take an address away",
    "save": "keep the settings in the container's configuration",
}
LETTERS = {each.letter: each.option for each in PARAMETERS if each.letter}
_ONLY_SAVED = ("name", "onboot", "disabled", "description", "stop-timeout", "private", "root")


def run(call: Call) -> None:
    """Change the VE."""
    from vztmpl.ve import lifecycle

    save = call.has("save")
    for name, _ in call.options:
        if name in _ONLY_SAVED and not save:
            raise VEError(
                f"--{name} works together with --save only",
                vz_code=codes.INVALID_PARAMETER_SYNTAX,
                hint="add --save",
            )
    if call.ctid == 0:
        _set_node(call)
        return
    plain = changes(call, (*PARAMETERS, *LISTS))
    added = [ADDRESS.parse(value) for value in call.values(ADDRESS.option)]
    removed = call.values("ipdel")

    def decide(before: VEConfig) -> Mapping[str, str | None]:
        if not (added or removed):
            return plain
        kept = () if "all" in removed else before.addresses
        kept_and_new = dict.fromkeys([one for one in kept if one not in removed] + added)
        return {**plain, ADDRESS.variable: " ".join(kept_and_new)}

    running = lifecycle.change(call.node, call.ctid, decide, call.warn, save=save)
    if save:
        call.say(f"CT configuration saved to {call.node.etc}/conf/{call.ctid}.conf")
    elif running:
        call.say(
            "WARNING: Settings were not saved to config and will be lost when the container"
            " stops (use --save flag)"
        )
    else:
        raise VEError(
            "the container does not run and nothing was saved",
            vz_code=codes.VE_NOT_RUNNING,
            hint="add --save",
        )


def _set_node(call: Call) -> None:
    """Set what the hardware node keeps for itself."""
    from vztmpl.ve import hostcpu

    if [name for name, _ in call.options if name not in ("cpuunits", "save")]:
        raise VEError(
            "CT 0 is the hardware node; only --cpuunits can be set for it",
            vz_code=codes.INVALID_PARAMETER_VALUE,
        )
    if not call.has("cpuunits") or not call.has("save"):
        raise VEError(
            "--cpuunits of CT 0 works together with --save only",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint="vzctl set 0 --cpuunits NUM --save",
        )
    hostcpu.save_units(call.node, changes(call, PARAMETERS))
    call.say(f"CT configuration saved to {call.node.etc}/conf/0.conf")


def changes(call: Call, parameters: Sequence[Parameter]) -> dict[str, str]:
    """Return the conf variables that the options of a call set."""
    found = {}
    for each in parameters:
        if values := call.values(each.option):
            given = values if each in LISTS else values[-1:]
            found[each.variable] = " ".join(each.parse(value) for value in given)
    return found
