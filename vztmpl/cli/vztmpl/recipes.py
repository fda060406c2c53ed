"""``vztmpl recipes``: which templates can be built."""

from pathlib import Path

import click

from vztmpl.build import recipe
from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.settings import Node, shipped

recipes_option = click.option(
    "--recipes",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with recipes other than those that come with vztmpl.",
)


@click.command()
@recipes_option
@json_option
@click.pass_obj
def command(_: Node, *, recipes: Path | None, as_json: bool) -> None:
    """List the templates that the recipes make: releases by architectures by sets.

    \b
    Example:
      vztmpl recipes
    """
    ours = shipped("recipes")
    folder = recipes or ours
    found = [recipe.resolve(folder, name, pieces=ours) for name in recipe.names(folder)]
    if as_json:
        show_json(
            [
                {
                    "name": str(one.name),
                    "os": one.name.os,
                    "version": one.name.version,
                    "arch": one.name.arch,
                    "set": one.name.set,
                    "bootstrapper": one.bootstrapper,
                    "description": one.description,
                }
                for one in found
            ]
        )
    else:
        rows = [(str(one.name), one.bootstrapper, one.description) for one in found]
        show_table(("NAME", "BOOTSTRAPPER", "DESCRIPTION"), rows)
