"""Deltas between two builds of a template: small files that make the new tar of the old tree.

The format is version 2 of containers/tar-diff, so its ``tar-patch`` reads our files too: eight
bytes of magic, then one zstd stream of operations, each a byte, its size as a varint, its data:

    DATA    data goes out as it is
    OPEN    data names a regular file of the old tree, to be read from its begin
    COPY    size bytes of that file go out; no data
    ADD     as many bytes of that file, each with a byte of data added, go out
    SEEK    the file is read on from size; no data
    ZSTD    data is a zstd frame with the whole file as its raw dictionary; its content goes out

A member whose content is anywhere in the old tree becomes COPY, a changed one ZSTD with the file of
the same name. Nothing in a delta is trusted: files are opened below the old tree without following
links, memory is bounded, and who applies it checks size and digest of what comes out.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

import zstandard

from vztmpl.errors import VerificationError

MAGIC = b"tardf2\n\0"
WINDOW_LOG = 25
"""32 MB: what applying needs of memory, for the stream and again for one frame."""
MAX_DICTIONARY_BYTES = 16 << 20
MAX_FRAME_BYTES = 16 << 20
_MAX_NAME_BYTES = 4096
_MAX_VARINT_BITS = 63
_CHUNK = 1 << 18
_PREFIX, _SUFFIX = "since-", ".tardiff"


class Operation(IntEnum):
    """What a delta can say."""

    DATA = 0
    OPEN = 1
    COPY = 2
    ADD = 3
    SEEK = 4
    ZSTD = 5


def file_name(digest: str) -> str:
    """Name the delta since the build with this digest."""
    return f"{_PREFIX}{digest}{_SUFFIX}"


def since(name: str) -> str:
    """Return the digest of the older build from a delta's name; empty for any other file."""
    wanted = name.startswith(_PREFIX) and name.endswith(_SUFFIX)
    return name[len(_PREFIX) : -len(_SUFFIX)] if wanted else ""


def apply(delta: IO[bytes], tree: Path, what: object) -> Iterator[bytes]:
    """Yield the new tar, made of a delta and the old tree.

    VerificationError when the delta is damaged or wants what the tree does not have. Nothing
    that comes out is to be used before its size and digest are checked.
    """
    with _damaged_is_unverified(what), _OldTree(tree) as old:
        if delta.read(len(MAGIC)) != MAGIC:
            raise VerificationError("it is not a delta")
        reader = zstandard.ZstdDecompressor(max_window_size=1 << WINDOW_LOG).stream_reader(delta)
        stream = io.BufferedReader(cast("io.RawIOBase", reader), _CHUNK)
        while operation := stream.read(1):
            yield from _done(operation[0], _varint(stream), stream, old)


def _done(operation: int, size: int, stream: IO[bytes], old: "_OldTree") -> Iterator[bytes]:
    match operation:
        case Operation.DATA:
            yield from _pieces(stream.read, size)
        case Operation.OPEN:
            old.open(_exactly(stream, size, _MAX_NAME_BYTES))
        case Operation.COPY:
            yield from _pieces(old.read, size)
        case Operation.ADD:
            for data in _pieces(stream.read, size):
                theirs = b"".join(_pieces(old.read, len(data)))
                yield bytes((a + b) & 0xFF for a, b in zip(data, theirs, strict=True))
        case Operation.SEEK:
            old.seek(size)
        case Operation.ZSTD:
            yield from old.patched(_exactly(stream, size, MAX_FRAME_BYTES))
        case _:
            raise VerificationError(f"it holds an unknown operation, {operation}")


class _OldTree:
    """The files of the old tree, read without leaving it."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._file: IO[bytes] = io.BytesIO()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._file.close()

    def open(self, name: bytes) -> None:
        """Open a regular file; no part of its name may be a link."""
        self._file.close()
        try:
            self._file = os.fdopen(_opened(self._tree, name), "rb")
        except (OSError, ValueError) as error:  # ValueError: a NUL
            raise VerificationError(f"the old tree has no file {os.fsdecode(name)}") from error

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def seek(self, position: int) -> None:
        self._file.seek(position)

    def patched(self, frame: bytes) -> Iterator[bytes]:
        """Yield what a frame makes of the whole file."""
        self._file.seek(0)
        content = self._file.read(MAX_DICTIONARY_BYTES + 1)
        if len(content) > MAX_DICTIONARY_BYTES:
            raise VerificationError("a dictionary is too large")
        words = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        decompressor = zstandard.ZstdDecompressor(words, max_window_size=1 << WINDOW_LOG)
        with decompressor.stream_reader(frame) as reader:
            while data := reader.read(_CHUNK):
                yield data


def _opened(tree: Path, name: bytes) -> int:
    """Return a descriptor of a regular file below a folder."""
    *folders, last = name.split(b"/")
    if any(part in (b"", b".", b"..") for part in (*folders, last)):
        raise ValueError
    here = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = there
        file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ValueError
    return file


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size:
        data = read(min(size, _CHUNK))
        if not data:
            raise VerificationError("it ends too early, or a file of the old tree does")
        size -= len(data)
        yield data


def _exactly(stream: IO[bytes], size: int, limit: int) -> bytes:
    if size > limit:
        raise VerificationError(f"one of its parts is larger than {limit} bytes")
    return b"".join(_pieces(stream.read, size))


def _varint(stream: IO[bytes]) -> int:
    value = 0
    for shift in range(0, _MAX_VARINT_BITS, 7):
        (byte,) = _exactly(stream, 1, 1)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value
    raise VerificationError("one of its numbers is too large")


@contextmanager
def _damaged_is_unverified(what: object) -> Iterator[None]:
    try:
        yield
    except VerificationError as error:
        raise VerificationError(f"{what} can't be applied: {error}", hint=error.hint) from error
    except zstandard.ZstdError as error:
        raise VerificationError(f"{what} is damaged: {error}") from error
