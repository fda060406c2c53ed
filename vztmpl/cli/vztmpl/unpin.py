"""``vztmpl unpin``: a pinned template may be pruned again."""

import click

from vztmpl.cli.vztmpl.parts import cache
from vztmpl.settings import Node


@click.command()
@click.argument("template")
@click.pass_obj
def command(node: Node, template: str) -> None:
    """Let a pinned template be pruned again.

    \b
    Example:
      vztmpl unpin debian-13-x86_64-minimal
    """
    cache(node).pin(template, pinned=False)
