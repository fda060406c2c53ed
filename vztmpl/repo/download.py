"""Downloads that survive: what came in stays on the disk, the next try goes on behind it.

CACHE/.partial/SHA256           what is there of a file; removed when the file is complete
CACHE/.partial/SHA256.version   from where, and what that server called it

A file is known by its sha256, so any mirror may go on with what another began. What comes out
is unverified until the last byte.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from vztmpl.errors import NetworkError, NotFoundError, VerificationError, VztmplError
from vztmpl.files import write_text
from vztmpl.repo.fetch import worst
from vztmpl.repo.source import CHUNK, Source
from vztmpl.template.entry import File


class Download:
    """One file on its way in."""

    def __init__(
        self, folder: Path, path: str, file: File, progress: Callable[[int], None]
    ) -> None:
        self.partial = folder / file.sha256
        self._version = folder / f"{file.sha256}.version"
        self._path, self._file, self._progress = path, file, progress
        self._done = 0

    def forget(self) -> None:
        """Remove what is there."""
        self.partial.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def chunks(self, sources: Sequence[Source]) -> Iterator[bytes]:
        """Yield the whole file: what is there, then the rest from the first source that has it.

        VerificationError after the last byte when they are not the right ones, or as soon as there
        are too many; NetworkError or NotFoundError when no source can go on.
        """
        digest = hashlib.sha256()
        self._done = 0
        with self.partial.open("a+b") as file:
            file.seek(0)
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                self._done += len(chunk)
                self._progress(len(chunk))
                yield chunk
            for chunk in self._rest(sources):
                file.write(chunk)
                digest.update(chunk)
                self._done += len(chunk)
                self._progress(len(chunk))
                yield chunk
            file.flush()
            os.fsync(file.fileno())
        if (digest.hexdigest(), self._done) != (self._file.sha256, self._file.size_bytes):
            self.forget()
            raise altered(self._path)
        self._version.unlink(missing_ok=True)

    def _rest(self, sources: Sequence[Source]) -> Iterator[bytes]:
        failed: list[VztmplError] = []
        for source in sources:
            if self._done >= self._file.size_bytes:
                return
            try:
                yield from self._from(source)
            except (NetworkError, NotFoundError) as error:
                failed.append(error)
        if self._done < self._file.size_bytes:
            raise worst(failed)

    def _from(self, source: Source) -> Iterator[bytes]:
        """Yield what is left, from one source; one that sends all again is read over."""
        here = source.at(self._path)
        answer = source.stream(
            self._path, self._file.size_bytes, self._done, self._known_version(here)
        )
        write_text(self._version, f"{here}\n{answer.version}\n")
        passed_over = self._done - answer.start
        with closing(answer.chunks) as chunks:
            for chunk in chunks:
                new = chunk[passed_over:]
                passed_over = max(0, passed_over - len(chunk))
                if new:
                    yield new

    def _known_version(self, here: str) -> str:
        try:
            url, version = self._version.read_text().splitlines()
        except (FileNotFoundError, ValueError):
            return ""
        return version if url == here else ""


class Arriving:
    """Chunks as a file that a decompressor reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        data, self._left = self._left[:size], self._left[size:]
        return bytes(data)

    def drain(self) -> None:
        """Read to the end, so that the last check is made."""
        while self.read(CHUNK):
            pass


def altered(where: object) -> VerificationError:
    """Make the error for a file that is not the one in the signed index."""
    return VerificationError(
        f"{where} is not what the signed index says",
        hint="the mirror altered it or is in the middle of an update; use another mirror",
    )
