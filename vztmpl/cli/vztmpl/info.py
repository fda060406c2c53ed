"""``vztmpl info``: all that is known of a template, here and at the remotes."""

import json
from collections.abc import Iterator

import click

from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import bases_in_use, cache, remotes
from vztmpl.errors import NotFoundError, VztmplError
from vztmpl.repo.origin import Origin
from vztmpl.settings import Node
from vztmpl.template.entry import Entry
from vztmpl.template.name import TemplateName


@click.command()
@click.argument("template")
@json_option
@click.pass_obj
def command(node: Node, template: str, *, as_json: bool) -> None:
    """Show what this node has of a template, and what the remotes offered when last asked.

    \b
    Example:
      vztmpl info debian-13-x86_64-minimal
    """
    TemplateName.parse(template)
    cached = _cached(node, template)
    offered = [{"remote": remote, **_offered(entry)} for remote, entry in _entries(node, template)]
    if cached is None and not offered:
        hint = "`vztmpl update` asks the remotes, `vztmpl available` lists what they have"
        raise NotFoundError(f"nothing is known of {template}", hint=hint)
    if as_json:
        show_json({"name": template, "cached": cached, "offered": offered})
        return
    for title, values in (("cached", cached), *((f"at {one['remote']}", one) for one in offered)):
        if values:
            click.echo(title)
            for key, value in values.items():
                click.echo(f"  {key}: {value if isinstance(value, str) else json.dumps(value)}")


def _cached(node: Node, name: str) -> dict[str, object] | None:
    templates = cache(node)
    try:
        manifest = templates.find(name)
    except NotFoundError:
        return None
    except VztmplError as error:
        return {"problem": str(error)}
    origin = Origin.load(templates.origin_file(name))
    return {
        "serial": manifest.serial,
        "digest": manifest.digest,
        "size_bytes": templates.files(name).archive.stat().st_size,
        "unpacked_bytes": manifest.unpacked_bytes,
        "description": manifest.description,
        "source": origin.source,
        "proof": origin.proof,
        "signer": origin.signer,
        "fetched": origin.fetched,
        "pinned": templates.is_pinned(name),
        "unpacked": templates.has_base(manifest),
        "in_use": manifest.digest in bases_in_use(node),
        "packages": len(manifest.packages),
    }


def _entries(node: Node, name: str) -> Iterator[tuple[str, Entry]]:
    known = remotes(node)
    for remote in known.all():
        if known.has_index(remote) and (entry := known.index(remote).newest(name)):
            yield remote.name, entry


def _offered(entry: Entry) -> dict[str, object]:
    changes = entry.changes
    return {
        "serial": entry.serial,
        "digest": entry.digest,
        "size_bytes": entry.size_bytes,
        "description": entry.description,
        "files": {name: file.size_bytes for name, file in entry.files.items()},
        "changes": {
            "since": changes.since,
            "added": dict(changes.added),
            "removed": dict(changes.removed),
            "changed": dict(changes.changed),
        },
    }
