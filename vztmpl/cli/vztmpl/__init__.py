"""The ``vztmpl`` command: one small file per subcommand, imported when it is used."""

from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

import click

from vztmpl import __version__, settings
from vztmpl.cli.errors import guarded

_COMMANDS = (
    "key", "recipes", "recipe", "build", "rebuild", "lint", "diff", "verify", "publish", "repo",
    "remote", "available", "update", "fetch", "list", "info", "pin", "unpin", "prune", "gc",
    "import", "foreign", "remove", "doctor",
)  # fmt: skip
"""In the order of a template's life; each is a module here with a ``command``."""


class _Lazy(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        return [*_COMMANDS]  # the name `list` is taken by a module of this package

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"{__name__}.{module}").command
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.pass_context
def group(context: click.Context) -> None:
    """Build, sign, publish and fetch OS templates.

    \b
    A maintainer                          A node
      vztmpl key generate --name … …        vztmpl remote add main URL --key key.asc
      vztmpl build debian-13-x86_64-minimal vztmpl fetch debian-13-x86_64-minimal
      vztmpl publish REPO FILE              vzctl create 101 --ostemplate …

    \b
    Exit codes
      0 done                 4 locked by another vztmpl
      1 failed               5 the network failed; may work later
      2 wrong usage          6 verification refused
      3 not found          130 interrupted

    VZ_SYSROOT=DIR puts everything that a node has below DIR.
    """
    context.obj = settings.load()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    return guarded(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int | None:
    try:
        status: int | None = group.main(arguments, prog_name="vztmpl", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return status
