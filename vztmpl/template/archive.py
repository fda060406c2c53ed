"""The archive of a template: a tree as a deterministic tar, compressed with zstandard.

GNU tar walks the tree (it keeps xattrs, ACLs and sparse files, and is many times faster than
``tarfile``); python-zstandard compresses. The same tree gives the same tar: members sorted by
name in the C locale, numeric owners, no time newer than the epoch, pax headers without access
and change times or a process id. Compressed bytes are the same for any number of threads (1 and
more), but not for another libzstd: the identity of a template is the digest of its tar.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

import zstandard

from vztmpl.errors import CommandError, VerificationError, VztmplError
from vztmpl.run import piped, run

LEVEL = 9
_WINDOW_LOG = 26
_LARGEST_WINDOW_LOG = 27
_QUICK_LEVEL = 3
_MOST_THREADS = 8  # each has 12 MB of its own
_CHUNK = 1 << 20
_NEVER_PACKED = ("./dev/*", "./proc/*", "./sys/*", "./run/*")
_NO_DEVICES = ("--anchored", "--exclude=./dev/*", "--exclude=dev/*")
_XATTRS = ("--xattrs", "--xattrs-include=*", "--acls")

Progress = Callable[[int], None]
"""Told how many more bytes are done."""


class Readable(Protocol):
    """What compressed bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What packing gave: sizes in bytes, sha256 in hex."""

    digest: str
    sha256: str
    size_bytes: int
    unpacked_bytes: int


def pack(
    tree: Path,
    archive: IO[bytes],
    epoch: int,
    progress: Progress | None = None,
    *,
    watch: Callable[[bytes], None] | None = None,
) -> Packed:
    """Write ``tree`` as a compressed tar; ``epoch`` is the newest time that a member may have.

    ``watch`` is told each piece of the tar.
    """
    inside = hashlib.sha256()
    outside = _HashingWriter(archive)
    unpacked = 0
    compressor = zstandard.ZstdCompressor(compression_params=_parameters())
    with (
        piped(_pack_command(tree, *_template_options(epoch))) as tar,
        compressor.stream_writer(cast("IO[bytes]", outside), closefd=False) as writer,
    ):
        for chunk in _chunks(tar):
            inside.update(chunk)
            writer.write(chunk)
            unpacked += len(chunk)
            if watch:
                watch(chunk)
            if progress:
                progress(len(chunk))
    return Packed(
        digest=inside.hexdigest(),
        sha256=outside.hash.hexdigest(),
        size_bytes=outside.size_bytes,
        unpacked_bytes=unpacked,
    )


def unpack(
    archive: Path, folder: Path, digest: str, unpacked_bytes: int, progress: Progress | None = None
) -> None:
    """Unpack into the empty ``folder``; VerificationError unless the tar is exactly as named.

    The caller throws ``folder`` away when this fails.
    """
    extract(read(archive, digest, unpacked_bytes), folder, unpacked_bytes, progress)


def check(
    archive: Path, digest: str, unpacked_bytes: int, progress: Progress | None = None
) -> None:
    """Read an archive to its end; VerificationError unless the tar is exactly as named."""
    for chunk in read(archive, digest, unpacked_bytes):
        if progress:
            progress(len(chunk))


def read(archive: Path, digest: str, unpacked_bytes: int) -> Iterator[bytes]:
    """Yield the tar in an archive, as ``verified`` does."""
    with archive.open("rb") as file:
        yield from verified(decompressed(file, archive), digest, unpacked_bytes, archive)


def extract(
    tar: Iterator[bytes], folder: Path, unpacked_bytes: int, progress: Progress | None = None
) -> None:
    """Unpack a tar into the empty ``folder``, which it can't leave.

    VerificationError when there are devices in it: a VE has none but those that it is given.
    """
    try:
        with piped(_unpack_command(folder, *_NO_DEVICES), feed=True) as pipe:
            for chunk in tar:
                pipe.write(chunk)
                if progress:
                    progress(len(chunk))
    except CommandError as error:
        if "No space left on device" in error.tail:
            hint = f"{unpacked_bytes / 1e6:.0f} MB are needed"
            raise VztmplError(f"{folder.parent}: the disk is full", hint=hint) from error
        for _ in tar:
            pass  # what GNU tar can't read is most likely not ours, which is the better reason
        raise
    _refuse_devices(folder)


def decompressed(source: Readable, what: object) -> Iterator[bytes]:
    """Yield what is compressed in a file, in bounded pieces; VerificationError when damaged."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << _LARGEST_WINDOW_LOG)
    with (
        _damaged_is_unverified(what),
        decompressor.stream_reader(
            cast("IO[bytes]", source), read_across_frames=True, closefd=False
        ) as reader,
    ):
        yield from _chunks(reader)


def verified(
    tar: Iterable[bytes], digest: str, unpacked_bytes: int, what: object
) -> Iterator[bytes]:
    """Yield a tar; the last error comes after the last byte, so use nothing before the end."""
    hash_: _Hash = hashlib.sha256()
    left = unpacked_bytes
    for chunk in tar:
        left -= len(chunk)
        if left < 0:
            raise VerificationError(f"{what} is larger than its manifest says")
        hash_.update(chunk)
        yield chunk
    if left or hash_.hexdigest() != digest:
        raise VerificationError(
            f"{what} does not hold what its manifest says",
            hint="it was altered or cut short; fetch or build it again",
        )


def recompressed(tar: Iterable[bytes], archive: IO[bytes]) -> Iterator[bytes]:
    """Yield a tar while it is compressed into ``archive``, quickly rather than well."""
    compressor = zstandard.ZstdCompressor(level=_QUICK_LEVEL, write_checksum=True)
    with compressor.stream_writer(archive, closefd=False) as writer:
        for chunk in tar:
            writer.write(chunk)
            yield chunk


def snapshot(tree: Path, tar: Path) -> None:
    """Write all of ``tree``, devices too, as a plain tar: the quickest way to have it again."""
    run(_pack_command(tree, to=tar))


def put_back(tar: Path, folder: Path, progress: Progress | None = None) -> None:
    """Unpack all of a snapshot of our own into the empty ``folder``."""
    with tar.open("rb") as file, piped(_unpack_command(folder), feed=True) as pipe:
        for chunk in _chunks(file):
            pipe.write(chunk)
            if progress:
                progress(len(chunk))


def sha256_of(path: Path) -> tuple[str, int]:
    """Return sha256 (hex) and size in bytes of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def library_version() -> str:
    """Return the version of libzstd, which decides the compressed bytes."""
    return ".".join(str(part) for part in zstandard.ZSTD_VERSION)


@contextmanager
def _damaged_is_unverified(archive: object) -> Iterator[None]:
    try:
        yield
    except zstandard.ZstdError as error:
        hint = "it was altered or cut short; fetch or build it again"
        raise VerificationError(f"{archive} is damaged: {error}", hint=hint) from error


def _refuse_devices(folder: Path) -> None:
    for path in _odd_files(folder):
        mode = os.lstat(path).st_mode
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
            raise VerificationError(
                f"it holds a device: {path.removeprefix(str(folder))}",
                hint="a template must not; whoever builds it has to leave it out",
            )


def _odd_files(folder: Path) -> Iterator[str]:
    """Yield what is no folder, link or regular file; the kernel tells most types without a stat."""
    left = [str(folder)]
    while left:
        with os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif not (entry.is_symlink() or entry.is_file(follow_symlinks=False)):
                    yield entry.path


def _chunks(file: IO[bytes] | zstandard.ZstdDecompressionReader) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _pack_command(tree: Path, *options: str, to: Path | str = "-") -> Sequence[str]:
    return [
        "tar", "--create", f"--file={to}", f"--directory={tree}", "--one-file-system",
        "--sort=name", "--numeric-owner", "--format=pax",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
        *_XATTRS, "--xattrs-exclude=security.selinux", "--xattrs-exclude=system.*",
        *options, ".",
    ]  # fmt: skip


def _template_options(epoch: int) -> Sequence[str]:
    excluded = (f"--exclude={pattern}" for pattern in _NEVER_PACKED)
    return [f"--mtime=@{epoch}", "--clamp-mtime", *excluded, "--anchored"]


def _unpack_command(folder: Path, *options: str) -> Sequence[str]:
    return [
        "tar", "--extract", "--file=-", f"--directory={folder}",
        "--numeric-owner", "--same-owner", "--preserve-permissions", "--delay-directory-restore",
        *_XATTRS, *options,
    ]  # fmt: skip


def _parameters() -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters.from_level(
        LEVEL,
        threads=min(os.cpu_count() or 1, _MOST_THREADS),
        window_log=_WINDOW_LOG,
        enable_ldm=True,
        write_checksum=True,
    )


class _HashingWriter:
    """A file that knows the sha256 and the size of what was written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash: _Hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)
