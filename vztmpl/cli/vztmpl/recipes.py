"""``vztmpl recipes``: which templates can be built."""

import click

from vztmpl.build import recipe
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.settings import Node, shipped


@click.command()
@json_option
@click.pass_obj
def command(_: Node, *, as_json: bool) -> None:
    """List the templates that the recipes make.

    \b
    Example:
      vztmpl recipes
    """
    names = recipe.names(shipped("recipes"))
    if as_json:
        show_json([{"name": name} for name in names])
    else:
        for name in names:
            click.echo(name)
