"""``vztmpl publish``: templates go into a repository."""

from pathlib import Path

import click

from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import keyring
from vztmpl.repo.publish import publish
from vztmpl.settings import Node


@click.command()
@click.argument("repo", type=click.Path(file_okay=False, path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sign", metavar="FPR", default="", help="Key to sign with, if there are several.")
@json_option
@click.pass_obj
def command(node: Node, repo: Path, files: tuple[Path, ...], *, sign: str, as_json: bool) -> None:
    """Add signed templates to the repository in the folder REPO.

    Any web server can serve the folder. Without FILEs the index is signed anew: it is valid for
    30 days. Give REPO/key.asc to those who add the repository as a remote.

    \b
    Example:
      vztmpl publish /srv/www/templates debian-13-x86_64-minimal.tar.zst
    """
    keys = keyring(node)
    entries = publish(repo.absolute(), files, keys, keys.signing_key(sign))
    if as_json:
        templates = [
            {"name": entry.name, "serial": entry.serial, "digest": entry.digest, "path": entry.path}
            for entry in entries
        ]
        show_json({"repository": str(repo.absolute()), "templates": templates})
    else:
        for entry in entries:
            click.echo(f"{entry.name} {entry.serial} is published")
