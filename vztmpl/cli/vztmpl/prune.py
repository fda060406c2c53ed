"""``vztmpl prune``: templates that nobody uses leave the cache."""

import click

from vztmpl.cli.vztmpl.fetching import cache_limits, pruned
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.errors import UsageError
from vztmpl.settings import Node


@click.command()
@click.option("--max-size", metavar="SIZE", default="", help="Such as 20G, of all archives.")
@click.option("--max-age", metavar="DAYS", default="", help="Since a VE was made of it.")
@json_option
@click.pass_obj
def command(node: Node, *, max_size: str, max_age: str, as_json: bool) -> None:
    """Remove cached templates that are too old, and then the least used until the rest fits.

    Without options CACHE_MAX_SIZE and CACHE_MAX_AGE of vz.conf count, which every fetch looks at
    too. A template that a VE is made of, or that is pinned, stays.

    \b
    Example:
      vztmpl prune --max-size 20G --max-age 90
    """
    limits = cache_limits(node, max_size, max_age)
    if limits.max_bytes is None and limits.max_days is None:
        hint = "give --max-size or --max-age, or set CACHE_MAX_SIZE or CACHE_MAX_AGE in vz.conf"
        raise UsageError("there is no limit to prune to", hint=hint)
    gone = pruned(node, limits)
    if as_json:
        show_json({"removed": gone})
    else:
        for name in gone:
            click.echo(f"removed {name}")
