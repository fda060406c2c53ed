"""``vztmpl update``: the remotes are asked what is new."""

import click

from vztmpl.cli import progress
from vztmpl.cli.errors import show
from vztmpl.cli.vztmpl.fetching import fetch_all
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import cache, remotes
from vztmpl.errors import VztmplError
from vztmpl.repo.client import Client
from vztmpl.repo.fetch import worst
from vztmpl.repo.remote import Remote
from vztmpl.settings import Node
from vztmpl.template.index import Index


@click.command()
@click.argument("remote", required=False, default="")
@click.option("--fetch", "bring", is_flag=True, help="Also fetch newer builds of what is cached.")
@json_option
@click.pass_obj
def command(node: Node, remote: str, *, bring: bool, as_json: bool) -> None:
    """Ask all remotes, or one, what they have; a bad index is refused with exit code 6.

    What one remote does wrong keeps no other from being asked.

    \b
    Example:
      vztmpl update --fetch
    """
    known = remotes(node)
    asked = [known.find(remote)] if remote else known.all()
    good: list[tuple[Remote, Index]] = []
    failed: list[VztmplError] = [*known.problems()]
    with progress.shown() as shown:
        client = Client(known, cache(node), node.locks, shown)
        for one in asked:
            try:
                good.append((one, client.refresh(one)))
            except VztmplError as error:
                error.add_note(f"while updating {one.name}")
                failed.append(error)
    newer = _newer(node, good) if bring else []
    fetched, lost = fetch_all(node, newer, remote) if newer else ([], [])
    failed += lost
    if as_json:
        show_json(
            {
                "remotes": [
                    {"name": one.name, "serial": index.serial, "expires": index.expires.isoformat()}
                    for one, index in good
                ],
                "fetched": [
                    {"name": one.manifest.name, "serial": one.manifest.serial} for one in fetched
                ],
            }
        )
    else:
        for one, index in good:
            click.echo(f"{one.name}: index {index.serial}, {len(index.latest())} templates")
        for got in fetched:
            click.echo(f"{got.manifest.name} {got.manifest.serial} fetched from {got.remote}")
    if failed:
        raise _last(failed)


def _newer(node: Node, good: list[tuple[Remote, Index]]) -> list[str]:
    """Name the cached templates of which a remote has a newer build."""
    here = {one.name: one.manifest.serial for one in cache(node).entries() if one.manifest}
    found = {
        name
        for _, index in good
        for name, entry in index.latest().items()
        if name in here and entry.serial > here[name]
    }
    return sorted(found)


def _last(failed: list[VztmplError]) -> VztmplError:
    """Show all errors but the one to end with."""
    error = worst(failed)
    for other in failed:
        if other is not error:
            show(other)
    return error
