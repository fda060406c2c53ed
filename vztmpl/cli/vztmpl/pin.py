"""``vztmpl pin``: a template stays in the cache whatever is pruned."""

import click

from vztmpl.cli.vztmpl.parts import cache
from vztmpl.settings import Node


@click.command()
@click.argument("template")
@click.pass_obj
def command(node: Node, template: str) -> None:
    """Keep a cached template and its base, whatever is pruned.

    \b
    Example:
      vztmpl pin debian-13-x86_64-minimal
    """
    cache(node).pin(template, pinned=True)
