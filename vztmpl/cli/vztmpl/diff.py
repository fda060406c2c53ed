"""``vztmpl diff``: how two templates differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.output import json_option, show_json, show_lines
from vztmpl.template.diff import Change, Difference, Entry, FileChange, Side, diff
from vztmpl.template.walk import Kind

_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}
_SHOWN = 40


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@json_option
def command(old: Path, new: Path, *, as_json: bool) -> int:
    """Show how two templates differ: packages, files, sizes.

    OLD and NEW are NAME.tar.zst; their manifests are found beside them, their signatures are not
    looked at. Exit code 0 when nothing differs, 1 when something does.

    \b
    Example:
      vztmpl diff old/debian-13-x86_64.tar.zst debian-13-x86_64.tar.zst
    """
    before, after = Side.of(old), Side.of(new)
    with progress.shown() as shown:
        total_bytes = before.manifest.unpacked_bytes + after.manifest.unpacked_bytes
        shown.phase("comparing", total_bytes)
        difference = diff(before, after, shown.advance)
    if as_json:
        show_json(described(before, after, difference))
    else:
        show_lines(lines(before, after, difference))
    return 0 if difference.same else 1


def described(old: Side, new: Side, difference: Difference) -> dict[str, object]:
    """Return a difference as JSON has it."""
    return {
        "same": difference.same,
        "old": _side(old),
        "new": _side(new),
        "packages": [asdict(change) for change in difference.packages],
        "counts": {
            **{change.value: number for change, number in difference.counts.items()},
            "only_time": difference.only_time,
        },
        "files": [asdict(change) for change in difference.files],
    }


def lines(old: Side, new: Side, difference: Difference) -> Iterator[str]:
    """Return a difference as people read it."""
    yield f"{_title(old)} → {_title(new)}"
    yield (
        f"size: {_megabytes(old.manifest.size_bytes)} → {_megabytes(new.manifest.size_bytes)},"
        f" unpacked {_megabytes(old.manifest.unpacked_bytes)}"
        f" → {_megabytes(new.manifest.unpacked_bytes)}"
    )
    if difference.same:
        equal = old.manifest.digest == new.manifest.digest
        yield "no difference" if equal else "no difference but in how it was packed"
    else:
        yield from changes(difference)


def changes(difference: Difference) -> Iterator[str]:
    """Return which packages and files differ as people read it."""
    packages = Counter(change.change for change in difference.packages)
    yield f"packages: {_counted(packages)}"
    for package in difference.packages:
        versions = " → ".join(version for version in (package.old, package.new) if version)
        yield f"  {_SIGNS[package.change]} {package.name} {versions}"
    times = f"; {difference.only_time} in their time only" if difference.only_time else ""
    yield f"files: {_counted(difference.counts)}{times}"
    telling = [change for change in difference.files if change.aspects != ("time",)]
    yield from _listed(telling or difference.files)


def _listed(changes: Sequence[FileChange]) -> Iterator[str]:
    """List files, a whole folder as one line, and no more than one screen or two."""
    for shown, (change, inside) in enumerate(_folded(changes)):
        if shown == _SHOWN:
            yield "  … `--json` lists the rest"
            return
        more = f" and {inside} below" if inside else ""
        yield f"  {_SIGNS[change.change]} {change.path}{more}{_detail(change)}"


def _folded(changes: Sequence[FileChange]) -> Iterator[tuple[FileChange, int]]:
    """Yield each change with how many that follow are inside it: a folder comes or goes whole."""
    position = 0
    while position < len(changes):
        change, inside = changes[position], 0
        entry = change.new or change.old
        if change.change is not Change.CHANGED and entry and entry.kind is Kind.FOLDER:
            prefix = f"{change.path.rstrip('/')}/"
            for other in changes[position + 1 :]:
                if other.change is not change.change or not other.path.startswith(prefix):
                    break
                inside += 1
        yield change, inside
        position += 1 + inside


def _detail(change: FileChange) -> str:
    old, new = change.old, change.new
    if old and new:
        return f": {', '.join(_aspect(aspect, old, new) for aspect in change.aspects)}"
    size_bytes = sum(entry.size_bytes for entry in (old, new) if entry)
    return f" ({size_bytes:,} bytes)" if size_bytes else ""


def _aspect(aspect: str, old: Entry, new: Entry) -> str:
    """Name what changed, with both values where they are short."""
    return {
        "kind": f"{old.kind} → {new.kind}",
        "content": f"content {old.size_bytes:,} → {new.size_bytes:,} bytes"
        if old.size_bytes != new.size_bytes
        else "content",
        "target": f"to {new.target}, was {old.target}",
        "mode": f"mode {old.mode:04o} → {new.mode:04o}",
        "owner": f"owner {old.uid}:{old.gid} → {new.uid}:{new.gid}",
    }.get(aspect, aspect)


def _counted(counts: Mapping[Change, int]) -> str:
    return ", ".join(f"{counts.get(change, 0)} {change}" for change in Change)


def _side(side: Side) -> dict[str, object]:
    manifest = side.manifest
    return {
        "name": manifest.name, "serial": manifest.serial, "digest": manifest.digest,
        "size_bytes": manifest.size_bytes, "unpacked_bytes": manifest.unpacked_bytes,
    }  # fmt: skip


def _title(side: Side) -> str:
    return f"{side.manifest.name} {side.manifest.serial}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
