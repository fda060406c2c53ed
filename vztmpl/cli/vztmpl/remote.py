"""``vztmpl remote``: the repositories that this node knows."""

from pathlib import Path

import click

from vztmpl.cli.errors import show as show_error
from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.cli.vztmpl.parts import remotes
from vztmpl.repo.remote import Remote, Remotes
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
@click.option("--mirror", metavar="URL", multiple=True, help="Another place of the same files.")
@click.pass_obj
def add(node: Node, name: str, url: str, key: Path, *, mirror: tuple[str, ...]) -> None:
    """Make a repository known, under a name, with the keys trusted for it.

    Mirrors are asked in turn when the URL fails; they need no trust. When the publisher changes
    his keys, the new ones are taken over if a trusted one signed them in.

    \b
    Example:
      vztmpl remote add main https://templates.example.org --key key.asc
      vztmpl remote add local file:///srv/www/templates --key key.asc
    """
    remotes(node).add(name, url, key.read_bytes(), mirror)


@command.command(name="list")
@json_option
@click.pass_obj
def list_(node: Node, *, as_json: bool) -> None:
    """List the known repositories.

    \b
    Example:
      vztmpl remote list
    """
    known = remotes(node)
    rows = [(one.name, one.url, _trusted(known, one)) for one in known.all()]
    if as_json:
        show_json([{"name": name, "url": url, "keys": keys} for name, url, keys in rows])
    else:
        columns = [(name, url, " ".join(keys)) for name, url, keys in rows]
        show_table(("NAME", "URL", "TRUSTED KEYS"), columns)
    for problem in known.problems():
        show_error(problem)


@command.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(node: Node, name: str, *, as_json: bool) -> None:
    """Show what is known of a repository: places, keys, and the index seen last.

    \b
    Example:
      vztmpl remote show main
    """
    known = remotes(node)
    remote = known.find(name)
    memory = known.memory(remote)
    shown: dict[str, object] = {
        "name": name,
        "url": remote.url,
        "mirrors": [*remote.mirrors],
        "keys": _trusted(known, remote),
        "dropped_keys": [*memory.dropped],
        "keys_version": memory.keys_version,
        "index_serial": memory.serial,
        "index_signer": memory.signer,
        "checked": memory.checked,
        "expires": known.index(remote).expires.isoformat() if known.has_index(remote) else "",
    }
    if as_json:
        show_json(shown)
    else:
        for key, value in shown.items():
            click.echo(f"{key}: {' '.join(value) if isinstance(value, list) else value}")


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


def _trusted(known: Remotes, remote: Remote) -> list[str]:
    return fingerprints(known.memory(remote).trust.keys)
