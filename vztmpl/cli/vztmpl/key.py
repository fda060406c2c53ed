"""``vztmpl key``: the keys that this machine signs with."""

from pathlib import Path

import click

from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.cli.vztmpl.parts import keyring
from vztmpl.settings import Node


@click.group()
def command() -> None:
    """Make, list, export and import signing keys.

    \b
    Example:
      vztmpl key generate --name "Example Templates" --email templates@example.org
      vztmpl key export templates@example.org > key.asc
    """


@command.command()
@click.option("--name", required=True, help="Who signs; at least 5 letters.")
@click.option("--email", required=True, help="Address of who signs.")
@json_option
@click.pass_obj
def generate(node: Node, name: str, email: str, *, as_json: bool) -> None:
    """Make an Ed25519 key without a passphrase and print its fingerprint.

    \b
    Example:
      vztmpl key generate --name "Example Templates" --email templates@example.org
    """
    fingerprint = keyring(node).generate(name, email)
    if as_json:
        show_json({"fingerprint": fingerprint})
    else:
        click.echo(fingerprint)


@command.command(name="list")
@json_option
@click.pass_obj
def list_(node: Node, *, as_json: bool) -> None:
    """List the keys, those that can sign first.

    \b
    Example:
      vztmpl key list
    """
    keys = keyring(node).keys()
    if as_json:
        show_json(
            [
                {"fingerprint": key.fingerprint, "user_id": key.user_id, "secret": key.secret}
                for key in keys
            ]
        )
    else:
        rows = [(key.fingerprint, "yes" if key.secret else "no", key.user_id) for key in keys]
        show_table(("FINGERPRINT", "SIGNS", "USER ID"), rows)


@command.command()
@click.argument("fingerprint")
@click.pass_obj
def export(node: Node, fingerprint: str) -> None:
    """Print a public key, to be given to those who add the repository as a remote.

    \b
    Example:
      vztmpl key export templates@example.org > key.asc
    """
    click.echo(keyring(node).export(fingerprint), nl=False)


@command.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def import_(node: Node, file: Path) -> None:
    """Take in a public or secret key from a file.

    \b
    Example:
      vztmpl key import colleague.asc
    """
    for fingerprint in keyring(node).import_keys(file.read_bytes()):
        click.echo(fingerprint)
