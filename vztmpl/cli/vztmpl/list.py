"""``vztmpl list``: the templates that this node has."""

import click

from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.repo.cache import Cache, Entry
from vztmpl.settings import Node


@click.command()
@json_option
@click.pass_obj
def command(node: Node, *, as_json: bool) -> None:
    """List the cached templates.

    \b
    Example:
      vztmpl list --json
    """
    cache = Cache(node.cache, node.bases, node.locks)
    if as_json:
        show_json([_described(cache, entry) for entry in cache.entries()])
    else:
        rows = [_row(cache, entry) for entry in cache.entries()]
        show_table(("TEMPLATE", "SERIAL", "SIZE", "PINNED", "DESCRIPTION"), rows)


def _row(cache: Cache, entry: Entry) -> tuple[str, str, str, str, str]:
    pinned = "yes" if cache.is_pinned(entry.name) else "no"
    if entry.manifest is None:
        return entry.name, "-", "-", pinned, f"broken: {entry.problem}"
    manifest = entry.manifest
    size = f"{cache.files(entry.name).archive.stat().st_size / 1e6:.1f} MB"
    return entry.name, manifest.serial, size, pinned, manifest.description


def _described(cache: Cache, entry: Entry) -> dict[str, object]:
    if entry.manifest is None:
        return {"name": entry.name, "problem": entry.problem}
    return {
        "name": entry.name,
        "serial": entry.manifest.serial,
        "digest": entry.manifest.digest,
        "size_bytes": cache.files(entry.name).archive.stat().st_size,
        "unpacked_bytes": entry.manifest.unpacked_bytes,
        "description": entry.manifest.description,
        "unpacked": cache.has_base(entry.manifest),
        "pinned": cache.is_pinned(entry.name),
    }
