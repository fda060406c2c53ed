"""Change a container's settings, at once where it runs; --save keeps them.

--ram and --swap bound the memory. The beancounters take barrier:limit, or one value for both:
PAGES of 4 KB, BYTES, either with a suffix (K M G T, P for pages), plain NUMbers, or `unlimited`.
For CT 0, the node itself, there is --cpuunits.

Example: vzctl set 101 --ram 512M --swap 1G --numproc 200 --cpuunits 2000 --save
"""

from collections.abc import Callable, Mapping, Sequence

from vztmpl.cli.vzctl import set_isolation, set_network
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
    **set_network.OPTIONS,
    **set_isolation.OPTIONS,
    "userpasswd=": "USER:PASSWORD  give a user in the container a password",
    "setmode=": "restart|ignore  what to do when a change needs a restart",
    "save": "keep the settings in the container's configuration",
}
LETTERS = {each.letter: each.option for each in PARAMETERS if each.letter}
_ONLY_SAVED = (
    "name", "onboot", "bootorder", "disabled", "description", "stop-timeout", "private", "root",
    "setmode",
)  # fmt: skip


def run(call: Call) -> None:
    """Change the VE."""
    _require_save(call)
    if call.ctid == 0:
        _set_node(call)
        return
    if call.has("userpasswd"):
        _set_password(call)
    if any(name != "userpasswd" for name, _ in call.options):
        _change(call)


def _require_save(call: Call) -> None:
    for name, _ in call.options:
        if name in _ONLY_SAVED and not call.has("save"):
            raise VEError(
                f"--{name} works together with --save only",
                vz_code=codes.INVALID_PARAMETER_SYNTAX,
                hint="add --save",
            )


def _change(call: Call) -> None:
    from vztmpl.ve.change import change

    save, mode = call.has("save"), _mode(call)
    decide = _decision(call)
    running = change(call.node, call.ctid, decide, call.warn, save=save, later=bool(mode))
    if not save and not running:
        raise VEError(
            "the container does not run and nothing was saved",
            vz_code=codes.VE_NOT_RUNNING,
            hint="add --save",
        )
    _tell_saved(call, save=save)
    if running and mode == "restart" and set_isolation.given(call):
        from vztmpl.ve import lifecycle

        lifecycle.restart(call.node, call.ctid, call.warn)
        call.say("Container was restarted")


def _decision(call: Call) -> Callable[[VEConfig], Mapping[str, str | None]]:
    """Return what makes of the present settings the conf variables that the options set."""
    plain = changes(call, (*PARAMETERS, *LISTS))
    added = [ADDRESS.parse(value) for value in call.values(ADDRESS.option)]
    removed = call.values("ipdel")

    def decide(before: VEConfig) -> Mapping[str, str | None]:
        rest = {**set_network.changes(call, before), **set_isolation.changes(call, before)}
        if not (added or removed):
            return {**plain, **rest}
        kept = () if "all" in removed else before.addresses
        kept_and_new = dict.fromkeys([one for one in kept if one not in removed] + added)
        return {**plain, **rest, ADDRESS.variable: " ".join(kept_and_new)}

    return decide


def _mode(call: Call) -> str:
    mode = call.value("setmode")
    if mode not in ("", "restart", "ignore"):
        raise VEError(f"--setmode {mode}: restart or ignore", vz_code=codes.INVALID_PARAMETER_VALUE)
    return mode


def _set_password(call: Call) -> None:
    from vztmpl.ve import inhabit

    user, colon, password = call.value("userpasswd").partition(":")
    if not (user and colon and password) or any(c < " " for c in user + password):
        raise VEError("--userpasswd wants USER:PASSWORD", vz_code=codes.INVALID_PARAMETER_SYNTAX)
    inhabit.set_password(call.node, call.ctid, user, password, call.warn)
    call.say(f"Password of {user} was changed")


def _set_node(call: Call) -> None:
    """Set what the hardware node keeps for itself."""
    from vztmpl.ve import hostcpu

    unknown = {name for name, _ in call.options} - {"cpuunits", "save"}
    if unknown or not call.has("cpuunits"):
        raise VEError(
            "CT 0 is the hardware node; only --cpuunits can be set for it",
            vz_code=codes.INVALID_PARAMETER_VALUE,
            hint="vzctl set 0 --cpuunits NUM --save",
        )
    save = call.has("save")
    hostcpu.change(call.node, changes(call, PARAMETERS), save=save)
    _tell_saved(call, save=save)


def _tell_saved(call: Call, *, save: bool) -> None:
    if save:
        call.say(f"CT configuration saved to {call.node.etc}/conf/{call.ctid}.conf")
        return
    call.warn("Settings were not saved to config and hold until the next start (use --save flag)")


def changes(call: Call, parameters: Sequence[Parameter]) -> dict[str, str]:
    """Return the conf variables that the options of a call set."""
    found = {}
    for each in parameters:
        if values := call.values(each.option):
            given = values if each in LISTS else values[-1:]
            found[each.variable] = " ".join(each.parse(value) for value in given)
    return found
