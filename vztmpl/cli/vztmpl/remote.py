"""``vztmpl remote``: the repositories that this node knows."""

from pathlib import Path

import click

from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.cli.vztmpl.parts import remotes
from vztmpl.settings import Node
from vztmpl.template.signature import fingerprints


@click.group()
def command() -> None:
    """Add, list and remove the repositories that this node knows.

    \b
    Example:
      vztmpl remote add main https://templates.example.org --key key.asc
    """


@command.command()
@click.argument("name")
@click.argument("url")
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The publisher's public keys; nothing else is trusted for this remote.",
)
@click.pass_obj
def add(node: Node, name: str, url: str, key: Path) -> None:
    """Make a repository known, under a name, with the keys trusted for it.

    \b
    Example:
      vztmpl remote add main https://templates.example.org --key key.asc
      vztmpl remote add local file:///srv/www/templates --key key.asc
    """
    remotes(node).add(name, url, key.read_bytes())


@command.command(name="list")
@json_option
@click.pass_obj
def list_(node: Node, *, as_json: bool) -> None:
    """List the known repositories.

    \b
    Example:
      vztmpl remote list
    """
    rows = [(one.name, one.url, fingerprints(one.keys.read_bytes())) for one in remotes(node).all()]
    if as_json:
        show_json([{"name": name, "url": url, "keys": keys} for name, url, keys in rows])
    else:
        columns = [(name, url, " ".join(keys)) for name, url, keys in rows]
        show_table(("NAME", "URL", "TRUSTED KEYS"), columns)


@command.command()
@click.argument("name")
@click.pass_obj
def remove(node: Node, name: str) -> None:
    """Forget a repository and its keys; templates fetched from it stay.

    \b
    Example:
      vztmpl remote remove main
    """
    remotes(node).remove(name)
