"""Making deltas (``template.delta`` says what they are): publishers do, nodes never."""

import mmap
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

import zstandard

from vztmpl.template.archive import decompressed
from vztmpl.template.delta import (
    MAGIC,
    MAX_DICTIONARY_BYTES,
    MAX_FRAME_BYTES,
    WINDOW_LOG,
    Operation,
)
from vztmpl.template.positions import Member, regular_files

_LEVEL = 15
_FRAME_LEVEL = 9
_LEAST_WINDOW_LOG = 17
_DIGITS = re.compile(rb"[0-9]+")


class _Out(Protocol):
    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Old:
    """The files of the old build, by content, by name, and by name without its digits."""

    tar: mmap.mmap
    by_content: Mapping[bytes, Member]
    by_name: Mapping[bytes, Member]
    by_likeness: Mapping[bytes, Member]

    @classmethod
    def of(cls, tar: mmap.mmap) -> "_Old":
        last = {one.name: one for one in regular_files(tar)}  # of two of a name the tree has this
        files = [one for one in last.values() if one.size_bytes and not one.sparse]
        return cls(
            tar=tar,
            by_content={_digest(tar, one): one for one in files},
            by_name={one.name: one for one in files},
            by_likeness={_likeness(one.name): one for one in files},
        )

    def like(self, new: Member) -> Member | None:
        """Return the file that a changed or renamed one was most likely made from."""
        found = self.by_name.get(new.name) or self.by_likeness.get(_likeness(new.name))
        fits = found and max(found.size_bytes, new.size_bytes) <= MAX_DICTIONARY_BYTES
        return found if fits else None


def make(
    old: Path, new: Path, out: IO[bytes], scratch: Path, progress: Callable[[int], None]
) -> None:
    """Write the delta between two archives to ``out``; their tars need room in ``scratch``."""
    with _tar(old, scratch, progress) as old_tar, _tar(new, scratch, progress) as new_tar:
        out.write(MAGIC)
        parameters = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, window_log=WINDOW_LOG, enable_ldm=True, write_checksum=True
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        with compressor.stream_writer(out, closefd=False) as stream:
            _write(_Old.of(old_tar), new_tar, stream)


def _write(old: _Old, new: mmap.mmap, stream: _Out) -> None:
    done = 0
    for member in regular_files(new):
        if not member.size_bytes:
            continue
        same = old.by_content.get(_digest(new, member))
        frame = None if same else _frame(old, new, member)
        if not same and not frame:
            continue  # goes out with the data before the next one that is known
        _operation(stream, Operation.DATA, new[done : member.start])
        if same:
            _operation(stream, Operation.OPEN, same.name)
            _operation(stream, Operation.COPY, size=member.size_bytes)
        elif frame:
            _operation(stream, Operation.OPEN, frame[0])
            _operation(stream, Operation.ZSTD, frame[1])
        done = member.start + member.size_bytes
    _operation(stream, Operation.DATA, new[done:])


def _frame(old: _Old, new: mmap.mmap, member: Member) -> tuple[bytes, bytes] | None:
    """Return the name of an old file and the frame that makes the new one of it, if that helps."""
    source = old.like(member)
    if source is None:
        return None
    content, before = _content(new, member), _content(old.tar, source)
    window_log = max(_LEAST_WINDOW_LOG, (len(content) + len(before)).bit_length())
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _FRAME_LEVEL, window_log=window_log, source_size=len(content), dict_size=len(before)
    )
    words = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    frame = zstandard.ZstdCompressor(dict_data=words, compression_params=parameters).compress(
        content
    )
    alone = len(zstandard.ZstdCompressor(level=_FRAME_LEVEL).compress(content))
    return (source.name, frame) if len(frame) < min(alone, MAX_FRAME_BYTES) else None


def _operation(stream: _Out, operation: Operation, data: bytes = b"", size: int = 0) -> None:
    stream.write(bytes([operation]) + _varint(size or len(data)) + data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits at a time
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@contextmanager
def _tar(archive: Path, scratch: Path, progress: Callable[[int], None]) -> Iterator[mmap.mmap]:
    """Yield the tar in an archive, on disk and without a name."""
    import tempfile

    with tempfile.TemporaryFile(dir=scratch) as file, archive.open("rb") as packed:
        for chunk in decompressed(packed, archive):
            file.write(chunk)
            progress(len(chunk))
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as tar:
            yield tar


def _content(tar: mmap.mmap, member: Member) -> bytes:
    return tar[member.start : member.start + member.size_bytes]


def _digest(tar: mmap.mmap, member: Member) -> bytes:
    return sha256(_content(tar, member)).digest()


def _likeness(name: bytes) -> bytes:
    return _DIGITS.sub(b"#", name)
