"""What is known of a build's files: noted when they were made, or read anew.

``images/NAME/SERIAL/files.json`` holds size and digests of every file of a build that a format can
name, so publishing reads and makes nothing twice. It is written last; what it does not name is made
anew.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from vztmpl.repo.formats.build import INCUS_META, Build, Facts
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.outputs import File

_RECORD = "files.json"
_FORMS = frozenset(Form)
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts of files that are there."""

    repository: Path
    build: Build
    facts: Mapping[str, Facts]
    """By path in the repository."""

    @classmethod
    def noted(cls, repository: Path, build: Build) -> Self:
        """Take what an earlier publisher noted; nothing when that makes no sense."""
        try:
            record = json.loads((repository / build.image(_RECORD)).read_bytes())
            facts = {path: Facts(**said) for path, said in record["files"].items()}
            same = record["digest"] == build.manifest.digest
        except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
            facts, same = {}, False
        there = {path: said for path, said in facts.items() if _has_size(repository / path, said)}
        return cls(repository=repository, build=build, facts=there if same else {})

    @classmethod
    def measured(cls, repository: Path, build: Build) -> Self:
        """Read every file; what was noted counts for nothing."""
        meta = repository / build.image(INCUS_META)
        head = meta.read_bytes() if meta.is_file() else b""
        found = [*(repository / build.folder).glob("*"), *(repository / build.images).glob("*")]
        facts = {
            str(path.relative_to(repository)): measure(path, head if path.name in _FORMS else b"")
            for path in found
            if path.is_file() and path.name != _RECORD
        }
        return cls(repository=repository, build=build, facts=facts)

    def content(self, path: str) -> bytes:
        """Return a small file, or nothing when it is not there or not what is known."""
        content = (self.repository / path).read_bytes() if path in self.facts else b""
        return content if content and facts_of([content]) == self.facts[path] else b""

    def look(self, path: str, head: bytes = b"") -> Facts:
        """Return the facts of a file that is there, with a combined digest if there is a head."""
        known = self.facts.get(path)
        if known and head and known.combined_sha256:
            return known
        if known and not head:
            return replace(known, combined_sha256="")
        return measure(self.repository / path, head)


def note(build: Build) -> File:
    """Return the file that notes a build's facts."""
    files = {path: asdict(build.facts[path]) for path in sorted(build.facts)}
    text = json.dumps({"digest": build.manifest.digest, "files": files}) + "\n"
    return File(path=build.image(_RECORD), content=text.encode())


def measure(path: Path, head: bytes = b"") -> Facts:
    """Read a file; ``head`` is what comes before it in the combined digest."""
    with path.open("rb") as file:
        return facts_of(iter(lambda: file.read(_CHUNK), b""), head)


def facts_of(chunks: Iterable[bytes], head: bytes = b"") -> Facts:
    """Return the facts of a content."""
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


def _has_size(path: Path, facts: Facts) -> bool:
    return path.is_file() and path.stat().st_size == facts.size_bytes
