"""Change a container's settings, at once where it runs; --save keeps them.

Memory is given in pages of 4 KB or with a suffix (512M); barrier:limit pairs are understood.

Example: vzctl set 101 --physpages 512M --numproc 200 --cpuunits 2000 --save
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
_ONLY_SAVED = ("name", "onboot", "disabled", "description", "stop-timeout")


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
    plain = changes(call, (*PARAMETERS, *LISTS))
    added = [ADDRESS.parse(value) for value in call.values(ADDRESS.option)]
    removed = call.values("ipdel")

    def decide(before: VEConfig) -> Mapping[str, str | None]:
        if not (added or removed):
            return plain
        kept = () if "all" in removed else before.addresses
        kept_and_new = dict.fromkeys([one for one in kept if one not in removed] + added)
        return {**plain, ADDRESS.variable: " ".join(kept_and_new)}

    running = lifecycle.change(call.node, call.ctid, decide, save=save)
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


def changes(call: Call, parameters: Sequence[Parameter]) -> dict[str, str]:
    """Return the conf variables that the options of a call set."""
    found = {}
    for each in parameters:
        if values := call.values(each.option):
            given = values if each in LISTS else values[-1:]
            found[each.variable] = " ".join(each.parse(value) for value in given)
    return found
