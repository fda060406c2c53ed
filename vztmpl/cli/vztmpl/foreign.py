"""``vztmpl foreign``: what other systems' image servers offer."""

from pathlib import Path

import click

from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.errors import UsageError
from vztmpl.repo.foreign import Offer, offers
from vztmpl.settings import Node


@click.command()
@click.argument("url")
@click.argument("words", metavar="[WORD...]", nargs=-1)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public keys; one of them has to have signed the server's index.",
)
@click.option("--unsigned", is_flag=True, help="Believe the server's index as it comes.")
@json_option
@click.pass_obj
def command(
    _: Node,
    url: str,
    words: tuple[str, ...],
    *,
    key: Path | None,
    unsigned: bool,
    as_json: bool,
) -> None:
    """List what an image server of another system offers, as commands that import it.

    URL is that of a simplestreams server (LXC, Incus, LXD, Ubuntu), or of a Proxmox aplinfo.dat.
    WORDs pick names that hold all of them. No such index can prove that it is the newest; without
    --key its checksums are no better than the connection, which --unsigned accepts.

    \b
    Example:
      vztmpl foreign https://images.example.org debian x86_64 --unsigned
    """
    if (key is None) == (not unsigned):
        hint = "--unsigned believes whoever answers at that URL"
        raise UsageError("say one of --key and --unsigned", hint=hint)
    found = [
        offer
        for offer in offers(url.rstrip("/"), key.read_bytes() if key else b"")
        if all(word.lower() in offer.name for word in words)
    ]
    if as_json:
        show_json([_described(offer) for offer in found])
        return
    for offer in found:
        checksum = f"--{offer.algorithm} {offer.checksum}"
        click.echo(f"vztmpl import {offer.url} --name {offer.name} {checksum}")
    if unsigned and found:
        click.echo("nobody signed these checksums: they are as good as the connection", err=True)


def _described(offer: Offer) -> dict[str, object]:
    return {
        "name": offer.name,
        "version": offer.version,
        "url": offer.url,
        offer.algorithm: offer.checksum,
        "size_bytes": offer.size_bytes,
    }
