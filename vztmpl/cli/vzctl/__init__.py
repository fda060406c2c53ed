"""vzctl: OpenVZ's command, with its grammar, its words and its exit codes.

Each verb is a module of this package, found by its name in ``VERBS`` and imported only when it is
called; its docstring is its help, ``ARGUMENTS`` and ``OPTIONS`` declare what it takes, ``run`` does
it. The grammar is getopt_long's, as in OpenVZ; docs/adr/0003 says why this is not click.
"""

import sys
from collections.abc import Mapping, Sequence

from vztmpl.cli.errors import guarded
from vztmpl.cli.vzctl.call import Call, Verb
from vztmpl.errors import (
    LockedError,
    NotFoundError,
    UsageError,
    VEError,
    VerificationError,
    VztmplError,
)
from vztmpl.ve import codes

OPENVZ_VERSION = "4.11.1"  # the vzctl whose face this is; libvirt wants a version it knows
VERBS = {
    "create": "create",
    "start": "start",
    "stop": "stop",
    "restart": "restart",
    "status": "status",
    "set": "set",
    "ubc": "ubc",
    "exec": "exec",
    "exec2": "exec2",
    "exec3": "exec3",
    "runscript": "runscript",
    "enter": "enter",
    "console": "console",
    "suspend": "suspend",
    "resume": "resume",
    "chkpnt": "chkpnt",
    "restore": "restore",
    "mount": "mount",
    "umount": "umount",
    "snapshot": "snapshot",
    "snapshot-list": "snapshot_list",
    "snapshot-switch": "snapshot_switch",
    "snapshot-delete": "snapshot_delete",
    "snapshot-mount": "snapshot_mount",
    "snapshot-umount": "snapshot_umount",
    "convert": "convert",
    "compact": "compact",
    "reinstall": "reinstall",
    "destroy": "destroy",
    "delete": "destroy",
    "init-ended": "init_ended",
}
_HIDDEN = ("delete", "init-ended")
_MOVING = ("start", "restart", "exec", "exec2", "exec3", "runscript", "enter")
_FLAGS = ("--quiet", "--verbose", "--skiplock")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one vzctl command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _main(words), exit_code)


def exit_code(error: VztmplError) -> int:
    """Return OpenVZ's code for an error."""
    if isinstance(error, VEError):
        return error.vz_code
    for kind, code in (
        (LockedError, codes.LOCKED),
        (NotFoundError, codes.OSTEMPLATE_NOT_FOUND),
        (VerificationError, codes.FS_BAD_TEMPLATE),
        (UsageError, codes.INVALID_PARAMETER_SYNTAX),
    ):
        if isinstance(error, kind):
            return code
    return codes.SYSTEM_ERROR


def _main(words: list[str]) -> int | None:
    flags = []
    while words and words[0] in _FLAGS:
        flags.append(words.pop(0))
    if not words or words[0] in ("--help", "-h", "help"):
        from vztmpl.cli.vzctl.help import overview

        return overview(OPENVZ_VERSION, [name for name in VERBS if name not in _HIDDEN])
    if words[0] == "--version":
        from vztmpl import __version__

        sys.stdout.write(f"vzctl version {OPENVZ_VERSION}\nvztmpl {__version__}\n")
        return 0
    if words[0] not in VERBS:
        raise VEError(
            f"Bad command: {words[0]}",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint="`vzctl --help` lists the commands",
        )
    if words[0] in _MOVING:
        from vztmpl.ve import moving

        moving.prepare()
    return _run(words[0], words[1:], quiet="--quiet" in flags)


def _run(name: str, words: list[str], *, quiet: bool) -> int | None:
    verb = load(name)
    if "--help" in words[:2]:
        from vztmpl.cli.vzctl.help import of_verb

        return of_verb(name, verb)
    _require_root()
    if not words or words[0].startswith("--"):
        raise VEError(
            "CT ID missing",
            vz_code=codes.INVALID_PARAMETER_VALUE,
            hint=f"vzctl {name} CTID {verb.ARGUMENTS}".rstrip(),
        )
    from vztmpl import settings
    from vztmpl.ve.config import find

    node = settings.load()
    if (name, words[0]) == ("start", "destroy") and len(words) > 1:  # libvirt 9's undefine
        return _run("destroy", words[1:], quiet=quiet)
    ctid = find(node, words[0])
    if ctid == 0 and name != "set":
        raise VEError(
            f"CT 0 is the hardware node; it can't be used with {name}",
            vz_code=codes.INVALID_PARAMETER_VALUE,
        )
    options, arguments = _parsed(name, verb, words[1:])
    return verb.run(Call(node=node, ctid=ctid, options=options, arguments=arguments, quiet=quiet))


def load(name: str) -> Verb:
    """Import the module of a verb."""
    from importlib import import_module

    module: Verb = import_module(f"vztmpl.cli.vzctl.{VERBS[name]}")
    return module


def _parsed(name: str, verb: Verb, words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    if "…" in verb.ARGUMENTS:
        return [], words
    from getopt import GetoptError, gnu_getopt

    letters: Mapping[str, str] = getattr(verb, "LETTERS", {})
    try:
        pairs, arguments = gnu_getopt(
            words, "".join(f"{one}:" for one in letters), list(verb.OPTIONS)
        )
    except GetoptError as error:
        raise VEError(
            str(error),
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint=f"vzctl {name} --help",
        ) from error
    if arguments:
        raise VEError(
            f"unexpected argument {arguments[0]!r}", vz_code=codes.INVALID_PARAMETER_SYNTAX
        )
    names = [option.lstrip("-") for option, _ in pairs]
    values = [value for _, value in pairs]
    return list(zip((letters.get(name, name) for name in names), values, strict=True)), arguments


def _require_root() -> None:
    import os

    if os.geteuid():
        raise VEError(
            "vzctl can only be run by root", vz_code=codes.NO_ACCESS, hint="use sudo or su"
        )
