"""``vztmpl fetch``: a template comes from a remote into the cache."""

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import bases_in_use, cache, remotes
from vztmpl.repo.client import Client
from vztmpl.settings import Node


@click.command()
@click.argument("template")
@click.option("--remote", default="", help="Ask this remote only, not all by name.")
@json_option
@click.pass_obj
def command(node: Node, template: str, *, remote: str, as_json: bool) -> None:
    """Fetch a template, verify it, and unpack it for new VEs.

    \b
    Example:
      vztmpl fetch debian-13-x86_64-minimal
    """
    templates = cache(node)
    with progress.shown() as shown:
        fetched = Client(remotes(node), templates, node.locks, shown).fetch(template, remote)
    if fetched.changed:
        templates.remove_unused_bases(lambda: bases_in_use(node))
    manifest = fetched.manifest
    if as_json:
        show_json(
            {
                "name": manifest.name,
                "serial": manifest.serial,
                "digest": manifest.digest,
                "remote": fetched.remote,
                "changed": fetched.changed,
                "base": str(fetched.base),
            }
        )
    else:
        done = f"fetched from {fetched.remote}" if fetched.changed else "is up to date"
        click.echo(f"{manifest.name} {manifest.serial} {done}")
