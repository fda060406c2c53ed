"""``vztmpl fetch``: templates come from remotes into the cache."""

import click

from vztmpl.cli.errors import show
from vztmpl.cli.vztmpl.fetching import fetch_all
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.repo.client import Fetched
from vztmpl.repo.fetch import worst
from vztmpl.settings import Node


@click.command()
@click.argument("templates", metavar="TEMPLATE...", nargs=-1, required=True)
@click.option("--remote", default="", help="Ask this remote only, not all by name.")
@json_option
@click.pass_obj
def command(node: Node, templates: tuple[str, ...], *, remote: str, as_json: bool) -> None:
    """Fetch templates, verify them, and unpack them for new VEs.

    Several come in at once. A name without its set is enough when the remotes offer one set only.
    What broke off is gone on with; where a delta leads from the cached build to the new one, only
    that is downloaded.

    \b
    Example:
      vztmpl fetch debian-13-x86_64-minimal
    """
    fetched, failed = fetch_all(node, list(dict.fromkeys(templates)), remote)
    if as_json:
        shown = [_described(one) for one in fetched]
        if len(templates) > 1:
            show_json(shown)
        elif shown:
            show_json(shown[0])
    else:
        for one in fetched:
            how = f"fetched from {one.remote}" if one.changed else "is up to date"
            click.echo(f"{one.manifest.name} {one.manifest.serial} {how}")
    if failed:
        error = worst(failed)
        for other in failed:
            if other is not error:
                show(other)
        raise error


def _described(fetched: Fetched) -> dict[str, object]:
    manifest = fetched.manifest
    return {
        "name": manifest.name,
        "serial": manifest.serial,
        "digest": manifest.digest,
        "remote": fetched.remote,
        "changed": fetched.changed,
        "by_delta": fetched.by_delta,
        "base": str(fetched.base),
    }
