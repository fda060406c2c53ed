"""``vztmpl available``: the templates that the remotes offered when last asked."""

from datetime import UTC, datetime

import click

from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.cli.vztmpl.parts import cache, remotes
from vztmpl.settings import Node
from vztmpl.template.entry import Entry


@click.command()
@click.argument("words", metavar="[WORD...]", nargs=-1)
@click.option("--remote", default="", help="Of this remote only.")
@json_option
@click.pass_obj
def command(node: Node, words: tuple[str, ...], *, remote: str, as_json: bool) -> None:
    """List the newest build of each template that the remotes offer.

    Needs no network: it shows what `vztmpl update` or a fetch brought last. WORDs pick those with
    all of them in name or description.

    \b
    Example:
      vztmpl available debian x86_64
    """
    known = remotes(node)
    asked = [known.find(remote)] if remote else known.all()
    found = []
    for one in asked:
        if not known.has_index(one):
            click.echo(f"{one.name}: not asked yet, see `vztmpl update`", err=True)
            continue
        index = known.index(one)
        if index.expires < datetime.now(UTC):
            click.echo(f"{one.name}: its index expired, see `vztmpl update`", err=True)
        found += [(one.name, entry) for entry in index.latest().values() if _wanted(entry, words)]
    found.sort(key=lambda pair: (pair[1].name, pair[0]))
    here = {one.name: one.manifest.serial for one in cache(node).entries() if one.manifest}
    if as_json:
        show_json([_described(name, entry, here) for name, entry in found])
    else:
        rows = [
            (
                entry.name,
                entry.serial,
                f"{entry.size_bytes / 1e6:.1f} MB",
                name,
                _state(entry, here),
            )
            for name, entry in found
        ]
        show_table(("TEMPLATE", "SERIAL", "SIZE", "REMOTE", "CACHED"), rows)


def _wanted(entry: Entry, words: tuple[str, ...]) -> bool:
    text = f"{entry.name} {entry.description}".lower()
    return all(word.lower() in text for word in words)


def _state(entry: Entry, here: dict[str, str]) -> str:
    serial = here.get(entry.name)
    if serial is None:
        return "no"
    return "yes" if serial >= entry.serial else f"older: {serial}"


def _described(remote: str, entry: Entry, here: dict[str, str]) -> dict[str, object]:
    return {
        "name": entry.name,
        "serial": entry.serial,
        "digest": entry.digest,
        "arch": entry.arch,
        "size_bytes": entry.size_bytes,
        "unpacked_bytes": entry.unpacked_bytes,
        "description": entry.description,
        "remote": remote,
        "cached_serial": here.get(entry.name),
    }
