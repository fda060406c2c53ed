"""How two templates differ: packages, files, sizes.

Both archives are read side by side, as streams. Our packer sorts members by name, so only one
member of each is in memory at a time, and contents are compared piece by piece.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from vztmpl.errors import VerificationError
from vztmpl.template.manifest import Manifest, TemplateFiles
from vztmpl.template.walk import Kind, Member, walk

_CHUNK = 1 << 20
_MAX_KEPT = 10_000
_Key = tuple[bytes, ...]


class Change(StrEnum):
    """What became of a file or package."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two templates."""

    archive: Path
    manifest: Manifest

    @classmethod
    def of(cls, archive: Path) -> Self:
        """Read the manifest beside an archive; no signature is checked."""
        files = TemplateFiles.beside(archive)
        return cls(archive=archive, manifest=Manifest.read(files.manifest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What there is to say of one file."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    size_bytes: int
    target: str

    @classmethod
    def of(cls, member: Member) -> Self:
        """Keep what is worth telling of a member."""
        return cls(
            kind=member.kind,
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            size_bytes=member.size_bytes,
            target=member.target,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that is not the same in both."""

    path: str
    change: Change
    aspects: tuple[str, ...] = ()
    """Of a changed one: ``kind``, ``content``, ``target``, ``mode``, ``owner``, ``xattrs``,
    ``time``."""
    old: Entry | None = None
    new: Entry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageChange:
    """A package that is not the same in both; no version where it is not installed."""

    name: str
    change: Change
    old: str = ""
    new: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All that is different."""

    packages: tuple[PackageChange, ...]
    files: tuple[FileChange, ...]
    """In the order of their names; the first 10,000."""
    counts: Mapping[Change, int]
    """How many files were added, removed, changed in more than their time."""
    only_time: int
    """How many files differ in nothing but their time."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.packages and not self.files


def diff(old: Side, new: Side, progress: Callable[[int], None] | None = None) -> Difference:
    """Compare two templates; ``progress`` counts the bytes of both tars.

    VerificationError when one of them can't be read to its end, or is none that we packed.
    """
    kept, counts, only_time = list[FileChange](), dict.fromkeys(Change, 0), 0
    for change in _changes(old, new, progress):
        if change.aspects == ("time",):
            only_time += 1
        else:
            counts[change.change] += 1
        if len(kept) < _MAX_KEPT:
            kept.append(change)
    return Difference(
        packages=tuple(_packages(old.manifest.packages, new.manifest.packages)),
        files=tuple(kept),
        counts=counts,
        only_time=only_time,
    )


def _packages(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[PackageChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, ""), new.get(name, "")
        if before != after:
            change = Change.CHANGED if before and after else Change.ADDED
            change = change if after else Change.REMOVED
            yield PackageChange(name=name, change=change, old=before, new=after)


def _changes(old: Side, new: Side, progress: Callable[[int], None] | None) -> Iterator[FileChange]:
    """Walk through both archives, always on with the one whose name comes first."""
    olds, news = _sorted(old, progress), _sorted(new, progress)
    before, after = next(olds, None), next(news, None)
    while before or after:
        if after is None or (before and before[0] < after[0]):
            assert before  # noqa: S101 - one of the two is there
            member = before[1]
            yield FileChange(path=f"/{member.path}", change=Change.REMOVED, old=Entry.of(member))
            before = next(olds, None)
        elif before is None or after[0] < before[0]:
            member = after[1]
            yield FileChange(path=f"/{member.path}", change=Change.ADDED, new=Entry.of(member))
            after = next(news, None)
        else:
            yield from _compared(before[1], after[1])
            before, after = next(olds, None), next(news, None)


def _sorted(side: Side, progress: Callable[[int], None] | None) -> Iterator[tuple[_Key, Member]]:
    last: _Key = ()
    for member in walk(side.archive, side.manifest.unpacked_bytes, progress):
        key = tuple(member.path.encode(errors="surrogateescape").split(b"/"))
        if key <= last:
            hint = "it was not packed by vztmpl"
            raise VerificationError(f"{side.archive}: names are not in their order", hint=hint)
        last = key
        yield key, member


def _compared(old: Member, new: Member) -> Iterator[FileChange]:
    aspects = tuple(_aspects(old, new))
    if aspects:
        yield FileChange(
            path=f"/{new.path}",
            change=Change.CHANGED,
            aspects=aspects,
            old=Entry.of(old),
            new=Entry.of(new),
        )


def _aspects(old: Member, new: Member) -> Iterator[str]:
    if old.kind is not new.kind:
        yield "kind"
    elif old.size_bytes != new.size_bytes or not _same_content(old, new):
        yield "content"
    if old.target != new.target:
        yield "target"
    if old.mode != new.mode:
        yield "mode"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield "owner"
    if old.xattrs != new.xattrs:
        yield "xattrs"
    if old.mtime != new.mtime:
        yield "time"


def _same_content(old: Member, new: Member) -> bool:
    while (piece := old.read(_CHUNK)) == new.read(_CHUNK):
        if not piece:
            return True
    return False
