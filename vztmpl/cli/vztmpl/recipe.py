"""``vztmpl recipe``: one recipe, looked at or begun."""

import re
from pathlib import Path

import click

from vztmpl.build import recipe
from vztmpl.build.recipe_start import start
from vztmpl.build.recipe_text import described, to_toml
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.recipes import recipes_option
from vztmpl.errors import UsageError
from vztmpl.files import write_text
from vztmpl.settings import Node, shipped

_OS = re.compile("[a-z0-9]+(-[a-z]+)*")


@click.group()
def command() -> None:
    """Look at a recipe, or begin one.

    \b
    Example:
      vztmpl recipe show debian-13-x86_64-minimal
    """


@command.command()
@click.argument("name")
@recipes_option
@click.option("--mirror", metavar="URL", default="", help="Package archive to install from.")
@json_option
@click.pass_obj
def show(_: Node, name: str, *, recipes: Path | None, mirror: str, as_json: bool) -> None:
    """Print what the recipes say of one template, includes and filters applied, as TOML.

    \b
    Example:
      vztmpl recipe show debian-13-x86_64-minimal
    """
    ours = shipped("recipes")
    said = described(recipe.resolve(recipes or ours, name, mirror=mirror, pieces=ours))
    if as_json:
        show_json(said)
    else:
        click.echo(to_toml(said), nl=False)


@command.command()
@click.argument("os")
@click.option(
    "--recipes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Folder to write it into; the current one.",
)
@click.pass_obj
def new(_: Node, os: str, *, recipes: Path) -> None:
    """Begin a recipe: write OS.toml, which builds as it is.

    \b
    Example:
      vztmpl recipe new web --recipes my-recipes
    """
    if not _OS.fullmatch(os):
        hint = "small letters and digits, words joined by `-`; no word after the first has digits"
        raise UsageError(f"{os!r} can't begin the name of a template", hint=hint)
    path = recipes / f"{os}.toml"
    if path.exists():
        raise UsageError(f"{path} is there already", hint="choose another name, or edit it")
    write_text(path, start(os))
    click.echo(path)
    click.echo(f"build it: vztmpl build {os}-13-x86_64-minimal --recipes {recipes}", err=True)
