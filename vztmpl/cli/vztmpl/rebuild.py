"""``vztmpl rebuild``: whether a template comes out the same when it is built again."""

from dataclasses import asdict
from pathlib import Path

import click

from vztmpl.build import recipe
from vztmpl.build.rebuild import Rebuilt, rebuild
from vztmpl.cli import progress
from vztmpl.cli.vztmpl.build import workshop_of
from vztmpl.cli.vztmpl.diff import changes
from vztmpl.cli.vztmpl.namespace import become_root
from vztmpl.cli.vztmpl.output import json_option, show_json, show_lines
from vztmpl.cli.vztmpl.recipes import recipes_option
from vztmpl.settings import Node, shipped


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@recipes_option
@json_option
@click.pass_obj
def command(node: Node, file: Path, *, recipes: Path | None, as_json: bool) -> int:
    """Build a template again, from its own manifest and lock file, and compare.

    FILE is the NAME.tar.zst; NAME.json and NAME.lock are found beside it. Every step is done anew.
    The exit code is 0 when both are the same tar bit by bit, else 1.

    \b
    Example:
      vztmpl rebuild debian-13-x86_64-minimal.tar.zst
    """
    become_root(node)
    ours = shipped("recipes")
    with progress.shown() as shown:
        rebuilt = rebuild(
            file,
            lambda name, mirror: recipe.resolve(recipes or ours, name, mirror=mirror, pieces=ours),
            workshop_of(node, keeping=False),
            shown,
        )
    if as_json:
        show_json({"identical": rebuilt.identical, **asdict(rebuilt)})
    else:
        _show(rebuilt)
    return 0 if rebuilt.identical else 1


def _show(rebuilt: Rebuilt) -> None:
    if rebuilt.identical:
        click.echo(f"{rebuilt.first.name} {rebuilt.first.serial} is identical when built again")
        click.echo(f"digest: {rebuilt.first.digest}")
        return
    click.echo(f"{rebuilt.first.name} {rebuilt.first.serial} comes out otherwise")
    if not rebuilt.same_recipe:
        click.echo("the recipe is not the one that it was built from")
    for tool, version in rebuilt.second.tools.items():
        if rebuilt.first.tools.get(tool) != version:
            click.echo(f"{tool} was {rebuilt.first.tools.get(tool, 'not used')}, is {version}")
    if rebuilt.difference:
        show_lines(changes(rebuilt.difference))
