"""The builds in a repository: put in place whole, described for the index, removed when it is time.

REPO/templates/NAME/SERIAL/     one build: archive, manifest, signature, reports, deltas since
                                older builds; never changed afterwards
REPO/templates/NAME/SERIAL-KEY/ the same build, signed by another key

A folder that the index does not name is left over: of a publisher that was killed, or of a build
that left the index. It goes when it has not been touched for the time of grace.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from time import time

from vztmpl.errors import VztmplError
from vztmpl.files import new_folder, public_folder, remove_abandoned, remove_tree, replacing
from vztmpl.progress import Progress
from vztmpl.repo.verify import Verified
from vztmpl.template import delta, difference
from vztmpl.template.archive import sha256_of
from vztmpl.template.entry import Changes, Delta, Entry, File
from vztmpl.template.index import Index
from vztmpl.template.manifest import MAX_BYTES, Manifest, TemplateFiles

FOLDER = "templates"
_CHUNK = 1 << 20
_MOST_OF_WHOLE = 0.5
"""A delta that is larger than this part of the archive is not worth its place."""


def place(
    repository: Path, template: Verified, index: Index, deltas: int, progress: Progress
) -> Entry:
    """Put the files of a build in place unless they are there, and return its entry."""
    manifest = template.manifest
    folder = repository / FOLDER / manifest.name / manifest.serial
    public_folder(folder.parent)
    folder = _own_folder(folder, template)
    older = [one for one in index.builds(manifest.name) if one.serial < manifest.serial]
    remove_abandoned(folder)
    if not folder.is_dir():
        with new_folder(folder) as partial:
            partial.chmod(0o755)
            named = template.files.named_by(manifest)
            for file in (*template.files.all, *named, *_reports(template.files)):
                _copy(file, partial / file.name)
            for one in older[::-1][:deltas]:
                if one.digest != manifest.digest:
                    _make_delta(repository, one, template, partial, progress)
    previous = _manifest(repository, older[-1]) if older else None
    return _entry(repository, folder, manifest, previous)


def resign(repository: Path, entry: Entry, sign: Callable[[bytes], bytes], signer: str) -> Entry:
    """Put a build in place a second time, signed by another key; its other files are linked."""
    old = repository / entry.path
    folder = old.with_name(f"{entry.serial}-{signer[-8:]}")
    signature = f"{entry.name}.json.asc"
    remove_abandoned(folder)
    if not folder.is_dir():
        with new_folder(folder) as partial:
            partial.chmod(0o755)
            for name in entry.files.keys() - {signature}:
                (partial / name).hardlink_to(old / name)
            with replacing(partial / signature) as file:
                file.write(sign((old / f"{entry.name}.json").read_bytes()))
    files = {**entry.files, signature: _described(folder / signature)}
    return replace(entry, path=str(folder.relative_to(repository)), files=files)


def retire(repository: Path, entries: Iterable[Entry]) -> None:
    """Begin the time of grace for builds that are about to leave the index."""
    for entry in entries:
        if (folder := repository / entry.path).is_dir():
            os.utime(folder)


def remove_retired(repository: Path, index: Index, grace: timedelta) -> list[str]:
    """Remove each build that the index does not name, after its time of grace."""
    named = {entry.path for entry in index.entries}
    gone = []
    for folder in sorted(repository.glob(f"{FOLDER}/*/*")):
        path = str(folder.relative_to(repository))
        if path not in named and folder.stat().st_mtime < time() - grace.total_seconds():
            remove_tree(folder)
            gone.append(path)
    return gone


def _own_folder(folder: Path, template: Verified) -> Path:
    """Return another folder when the same build is there with another signature."""
    offered, there = template.files, TemplateFiles.of(folder, template.manifest.name)
    if not folder.is_dir() or there.manifest.read_bytes() != offered.manifest.read_bytes():
        return folder
    same = there.signature.read_bytes() == offered.signature.read_bytes()
    return folder if same else folder.with_name(f"{folder.name}-{template.signer[-8:]}")


def _reports(files: TemplateFiles) -> Sequence[Path]:
    """Find what was said of a build later: NAME.WHAT.json, such as a boot test's report."""
    name = files.manifest.stem
    found = files.manifest.parent.glob(f"{name}.*.json")
    return sorted({*found} - {*files.all, *files.extras})


def _make_delta(
    repository: Path, old: Entry, new: Verified, folder: Path, progress: Progress
) -> None:
    """Add the delta since an older build, if it is worth it."""
    progress.phase(f"delta since {old.serial}", old.unpacked_bytes + new.manifest.unpacked_bytes)
    archive = TemplateFiles.of(repository / old.path, old.name).archive
    path = folder / delta.file_name(old.digest)
    with replacing(path) as file:
        difference.make(archive, new.files.archive, file, repository, progress.advance)
    if path.stat().st_size > _MOST_OF_WHOLE * new.manifest.size_bytes:
        path.unlink()


def _entry(repository: Path, folder: Path, offered: Manifest, previous: Manifest | None) -> Entry:
    """Return the entry of a build that is in place and has to be the one offered."""
    there = _read(TemplateFiles.of(folder, offered.name))
    if there.digest != offered.digest:
        raise VztmplError(
            f"{folder} holds another build of the same serial",
            hint="what is published never changes: build it again, for a serial of its own",
        )
    files = {path.name: _described(path) for path in sorted(folder.iterdir())}
    deltas = [Delta(since=delta.since(name), file=name) for name in files if delta.since(name)]
    return Entry.of(
        there,
        str(folder.relative_to(repository)),
        files,
        tuple(deltas),
        Changes.between(previous, there),
    )


def _described(path: Path) -> File:
    sha256, size_bytes = sha256_of(path)
    return File(size_bytes=size_bytes, sha256=sha256)


def _manifest(repository: Path, entry: Entry) -> Manifest:
    return _read(TemplateFiles.of(repository / entry.path, entry.name))


def _read(files: TemplateFiles) -> Manifest:
    with files.manifest.open("rb") as file:
        return Manifest.parse(file.read(MAX_BYTES), files.manifest)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; a link to it would change what is published when somebody overwrites it."""
    with source.open("rb") as file, replacing(target) as copy:
        shutil.copyfileobj(file, copy, _CHUNK)
