"""``vztmpl remove``: a template leaves the cache."""

import click

from vztmpl.cli.vztmpl.parts import bases_in_use, cache
from vztmpl.settings import Node


@click.command()
@click.argument("template")
@click.pass_obj
def command(node: Node, template: str) -> None:
    """Remove a template from the cache; VEs made from it keep working.

    \b
    Example:
      vztmpl remove debian-12-x86_64
    """
    cache(node).remove(template, lambda: bases_in_use(node))
