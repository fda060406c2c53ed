"""Getting published builds ready for the formats: the forms that lack are made, facts noted.

``images/NAME/SERIAL/files.json`` holds size and digests of every file of a build that a format can
name, so nothing is read or made twice. It is written last; what it does not name is made anew.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vztmpl.errors import VerificationError
from vztmpl.files import public_folder, remove_abandoned
from vztmpl.progress import Progress
from vztmpl.repo.formats import forms
from vztmpl.repo.formats.build import INCUS_META, Build, Facts
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.outputs import File, Made, Output
from vztmpl.template.entry import Entry
from vztmpl.template.index import Index
from vztmpl.template.manifest import MAX_BYTES, Manifest
from vztmpl.template.name import TemplateName

RECORD = "files.json"
_OWN = (".tar.zst", ".json", ".json.asc", ".cdx.json", ".provenance.json")
_CHUNK = 1 << 20


def builds(repository: Path, index: Index) -> list[Build]:
    """Return the builds that an index names, by name and serial; their manifests are checked."""
    entries = sorted(index.entries, key=lambda entry: (entry.name, entry.serial))
    newest = {entry.name: entry.serial for entry in entries}
    return [
        _build(repository, entry, newest=entry.serial == newest[entry.name]) for entry in entries
    ]


def prepare(
    repository: Path, build: Build, makers: Sequence[Maker], progress: Progress
) -> tuple[Build, list[Output]]:
    """Make what some formats need of a build; return it with all facts, and the files made."""
    known = _Known.load(repository, build)
    parts = {
        path: known.content(path) or make(build)
        for maker in makers
        for path, make in ((build.image(name), make) for name, make in maker.parts.items())
    }
    wanted = sorted({form for maker in makers for form in maker.forms})
    lacking = [form for form in wanted if build.image(form) not in known.facts]
    _make(repository, build, lacking, progress)
    head = parts.get(build.image(INCUS_META), b"")
    facts = {path: _facts([content]) for path, content in parts.items()}
    facts |= {path: known.facts_of(path, head) for path in map(build.image, wanted)}
    own = (path for path in map(build.own, _OWN) if (repository / path).is_file())
    facts |= {path: known.facts_of(path) for path in own}
    made: list[Output] = [Made(path=build.image(form)) for form in wanted]
    made += [File(path=path, content=content) for path, content in parts.items()]
    return replace(build, facts=facts), [*made, _record(build, facts)]


def _build(repository: Path, entry: Entry, *, newest: bool) -> Build:
    path = repository / entry.path / f"{entry.name}.json"
    with path.open("rb") as file:
        text = file.read(MAX_BYTES)
    if hashlib.sha256(text).hexdigest() != entry.files[path.name].sha256:
        raise _altered(path)
    manifest = Manifest.parse(text, path)
    name = TemplateName.parse(manifest.name)
    return Build(manifest=manifest, name=name, folder=entry.path, newest=newest)


def _make(repository: Path, build: Build, lacking: Sequence[Form], progress: Progress) -> None:
    if lacking:
        folder = repository / build.images
        public_folder(folder)
        for form in lacking:
            remove_abandoned(folder / form)
        forms.make(repository / build.archive, build.manifest, folder, lacking, progress)


def _record(build: Build, facts: dict[str, Facts]) -> File:
    files = {path: asdict(facts[path]) for path in sorted(facts)}
    record = {"digest": build.manifest.digest, "files": files}
    content = (json.dumps(record) + "\n").encode()
    return File(path=build.image(RECORD), content=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What an earlier publisher noted of a build's files that are there still."""

    repository: Path
    build: Build
    facts: dict[str, Facts]

    @classmethod
    def load(cls, repository: Path, build: Build) -> "_Known":
        try:
            record = json.loads((repository / build.image(RECORD)).read_bytes())
            facts = {path: Facts(**said) for path, said in record["files"].items()}
            same = record["digest"] == build.manifest.digest
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            facts, same = {}, False  # nothing is known, so all is made and measured
        there = {path: said for path, said in facts.items() if _is_there(repository / path, said)}
        return cls(repository=repository, build=build, facts=there if same else {})

    def content(self, path: str) -> bytes:
        """Return a small file, or nothing when it is not there."""
        return (self.repository / path).read_bytes() if path in self.facts else b""

    def facts_of(self, path: str, head: bytes = b"") -> Facts:
        """Return what is known of a file, or look; it must be what the manifest says."""
        known = self.facts.get(path)
        if known and bool(known.combined_sha256) == bool(head):
            return known
        manifest = self.build.manifest
        with (self.repository / path).open("rb") as file:
            facts = _facts(iter(lambda: file.read(_CHUNK), b""), head)
        if path == self.build.archive and facts.sha256 != manifest.sha256:
            raise _altered(self.repository / path)
        return facts


def _is_there(path: Path, facts: Facts) -> bool:
    return path.is_file() and path.stat().st_size == facts.size_bytes


def _facts(chunks: Iterable[bytes], head: bytes = b"") -> Facts:
    sha256, sha512, combined = hashlib.sha256(), hashlib.sha512(), hashlib.sha256(head)
    size_bytes = 0
    for chunk in chunks:
        sha256.update(chunk)
        sha512.update(chunk)
        if head:
            combined.update(chunk)
        size_bytes += len(chunk)
    return Facts(
        size_bytes=size_bytes,
        sha256=sha256.hexdigest(),
        sha512=sha512.hexdigest(),
        combined_sha256=combined.hexdigest() if head else "",
    )


def _altered(path: Path) -> VerificationError:
    return VerificationError(
        f"{path} is not what the index says",
        hint="somebody altered the repository: remove the build and publish it again",
    )
