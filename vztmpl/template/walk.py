"""Reading what is in an archive, member by member, without unpacking anything.

Memory stays bounded whatever is in it. ``tarfile`` alone would keep every member, read an extended
header of any size into memory, and take a broken header for the end.
"""

import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Self, cast

from vztmpl.errors import VerificationError
from vztmpl.template.archive import Progress, decompressed

_MAX_HEADER_BYTES = 4 << 20
_MAX_KEPT_BYTES = 256 << 20
_KEPT_PER_MEMBER_BYTES = 200
_MAX_PATH = 4096
_LONG_NAME = re.compile("[^/]{256}")
_XATTR = "SCHILY.xattr."
_ACL = "SCHILY.acl."


class Kind(StrEnum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    HARD_LINK = "hard link"
    DEVICE = "device"
    FIFO = "fifo"


_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.CHRTYPE: Kind.DEVICE,
    tarfile.BLKTYPE: Kind.DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of an archive."""

    path: str
    """As written, less the ``./`` it begins with; empty for the tree itself. Trust it in nothing:
    it may be absolute or hold ``..``."""
    kind: Kind
    mode: int
    uid: int
    gid: int
    size_bytes: int
    mtime: float
    target: str
    """Where a link leads, as written; a hard link's is a path like ``path``."""
    xattrs: Mapping[str, bytes]
    """Extended attributes, and ACLs in their text form as ``acl.access`` and ``acl.default``."""
    read: Callable[[int], bytes] = field(repr=False, compare=False)
    """Read so many more bytes of the content, as long as the next member is not asked for."""


def walk(archive: Path, unpacked_bytes: int, progress: Progress | None = None) -> Iterator[Member]:
    """Yield the members of an archive in their order; ``progress`` counts bytes of the tar.

    VerificationError when it is larger than ``unpacked_bytes``, damaged, or no tar that
    ``archive.pack`` could have written.
    """
    with archive.open("rb") as file:
        yield from walk_tar(decompressed(file, archive), unpacked_bytes, archive, progress)


def walk_tar(
    pieces: Iterator[bytes], unpacked_bytes: int, where: Path, progress: Progress | None = None
) -> Iterator[Member]:
    """Do what ``walk`` does with a tar that comes in pieces of any size from ``where``."""
    source = _Source(pieces, unpacked_bytes, where, progress)
    with _foreign_is_unverified(where), _tar(source) as tar:
        kept_bytes = 0
        while info := tar.next():
            tar.members = []  # type: ignore[attr-defined] # it would keep them all
            member = _member(tar, info, where)
            kept_bytes += _KEPT_PER_MEMBER_BYTES + _size_bytes(member)
            if kept_bytes > _MAX_KEPT_BYTES:
                raise ValueError("far too many members")
            source.expect(member.size_bytes)
            yield member


@contextmanager
def _foreign_is_unverified(archive: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise VerificationError(
            f"{archive} holds no tar that vztmpl makes: {error}",
            hint="it was altered or cut short; fetch or build it again",
        ) from error


class _Source:
    """The tar as a file that refuses to give more than what is expected next."""

    def __init__(
        self, pieces: Iterator[bytes], limit_bytes: int, archive: Path, progress: Progress | None
    ) -> None:
        self._pieces = pieces
        self._left = limit_bytes
        self._archive = archive
        self._progress = progress
        self._next = _MAX_HEADER_BYTES

    def expect(self, size_bytes: int) -> None:
        """Allow for the content of a member and the headers of the one behind it."""
        self._next = size_bytes + _MAX_HEADER_BYTES

    def read(self, _: int) -> bytes:
        """Return the next piece, however large: ``tarfile`` puts them together."""
        chunk = next(self._pieces, b"")
        self._left -= len(chunk)
        self._next -= len(chunk)
        if self._left < 0:
            raise VerificationError(f"{self._archive} is larger than its manifest says")
        if self._next < 0:
            raise VerificationError(f"{self._archive} has a header of an absurd size")
        if self._progress:
            self._progress(len(chunk))
        return chunk


class _Header(tarfile.TarInfo):
    """A header that is checked as soon as it is read.

    By what ``tarfile`` documents alone: security updates have changed what it calls within.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # typeshed lacks it
            raise
        except tarfile.HeaderError as error:  # tarfile itself would take it for the end
            raise ValueError(str(error)) from error

    @property
    def type(self) -> bytes:
        return self._type

    @type.setter
    def type(self, value: bytes) -> None:
        if value in (tarfile.GNUTYPE_SPARSE, tarfile.XGLTYPE):
            raise ValueError("a sparse member, or a header for all members")
        self._type = value


def _tar(source: _Source) -> tarfile.TarFile:
    file = cast("IO[bytes]", source)
    return tarfile.open(fileobj=file, mode="r|", tarinfo=_Header)


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, archive: Path) -> Member:
    kind = _KINDS.get(info.type)
    if kind is None or info.issparse() or info.size < 0:
        raise ValueError(f"{info.name!r} is of an unknown kind")
    if max(len(info.name), len(info.linkname)) > _MAX_PATH or _LONG_NAME.search(info.name):
        raise ValueError("a name longer than any file may have")
    return Member(
        path="" if info.name == "." else info.name.removeprefix("./"),
        kind=kind,
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        size_bytes=info.size if kind is Kind.FILE else 0,
        mtime=info.mtime,
        target=info.linkname.removeprefix("./") if kind is Kind.HARD_LINK else info.linkname,
        xattrs=_xattrs(info.pax_headers),
        read=_reader(tar, info, archive) if kind is Kind.FILE else lambda _: b"",
    )


def _reader(tar: tarfile.TarFile, info: tarfile.TarInfo, archive: Path) -> Callable[[int], bytes]:
    file: IO[bytes] | None = None

    def read(size: int) -> bytes:
        nonlocal file
        with _foreign_is_unverified(archive):
            file = file or tar.extractfile(info)
            return file.read(size) if file else b""

    return read


def _xattrs(headers: Mapping[str, str]) -> dict[str, bytes]:
    return {
        name.removeprefix(_XATTR) if name.startswith(_XATTR) else name.removeprefix("SCHILY."): (
            value.encode(errors="surrogateescape")
        )
        for name, value in headers.items()
        if name.startswith((_XATTR, _ACL))
    }


def _size_bytes(member: Member) -> int:
    attributes = sum(len(name) + len(value) for name, value in member.xattrs.items())
    return len(member.path) + len(member.target) + attributes
