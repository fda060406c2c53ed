"""``vztmpl gc``: what is of no use leaves the cache."""

import click

from vztmpl.cli.vztmpl.parts import bases_in_use, cache
from vztmpl.repo.prune import collect
from vztmpl.settings import Node


@click.command()
@click.option("--bases", is_flag=True, help="Also bases that neither a VE nor a pin holds.")
@click.pass_obj
def command(node: Node, *, bases: bool) -> None:
    """Remove bases that nothing needs, and downloads that broke off a week ago.

    A base of a cached template that was removed is unpacked again when a VE is made of it.

    \b
    Example:
      vztmpl gc --bases
    """
    for gone in collect(cache(node), lambda: bases_in_use(node), bases=bases):
        click.echo(f"removed {gone}")
