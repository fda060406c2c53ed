"""A source: files below a base URL, read no further and no slower than the caller allows.

Nothing here is trusted: no file is read beyond the size that the caller expects, no server may
send slower than ``Patience`` allows, and every way in which a source can fail is one of our
errors.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import quote

from vztmpl.errors import NetworkError, NotFoundError, VerificationError

CHUNK = 1 << 18
HINT = "try again later; `vztmpl remote list` shows the URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How slow a server may be."""

    connect_seconds: float = 10
    silent_seconds: float = 30
    """Between two bytes."""
    least_bytes: int = 30_000
    """In every ``window_seconds``."""
    window_seconds: float = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A file as it comes in."""

    start: int
    """Where ``chunks`` begin: as asked, or 0 when the server sends the whole file."""
    version: str
    """What the server calls this version of the file (ETag or date); may be empty."""
    chunks: Generator[bytes]


class Source(ABC):
    """Files below a base URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def read(self, path: str, limit_bytes: int) -> bytes:
        """Return a small file; VerificationError when it has more than ``limit_bytes``.

        NotFoundError when it is not there, NetworkError when it can't be read now.
        """
        content, _ = self.read_changed(path, limit_bytes, "")
        return content or b""

    def read_changed(
        self, path: str, limit_bytes: int, known_version: str
    ) -> tuple[bytes | None, str]:
        """Read a small file and its version; None instead of a version that is known."""
        content = bytearray()
        answer = self.begin(self.at(path), unless_version=known_version)
        if answer is None:
            return None, known_version
        with closing(answer.chunks) as chunks:
            for chunk in chunks:
                content += chunk
                if len(content) > limit_bytes:
                    raise self._too_large(path, limit_bytes)
        return bytes(content), answer.version

    def stream(self, path: str, size_bytes: int, start: int = 0, version: str = "") -> Answer:
        """Begin to read a file of exactly ``size_bytes`` at ``start``, if it still is ``version``.

        While the chunks are read: VerificationError when there is more of it, otherwise the errors
        of ``read``. Close them.
        """
        answer = self.begin(self.at(path), start=start, version=version)
        assert answer is not None  # noqa: S101 - nothing was made a condition
        chunks = self._sized(path, answer, size_bytes)
        return Answer(start=answer.start, version=answer.version, chunks=chunks)

    def _sized(self, path: str, answer: Answer, size_bytes: int) -> Generator[bytes]:
        left = size_bytes - answer.start
        with closing(answer.chunks) as chunks:
            for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise self._too_large(path, size_bytes)
                yield chunk
        if left:
            raise NetworkError(f"{self.at(path)} ended {left} bytes too early", hint=HINT)

    @abstractmethod
    def begin(
        self, url: str, *, start: int = 0, version: str = "", unless_version: str = ""
    ) -> Answer | None:
        """Begin to read a file; None when it still is ``unless_version``."""

    def at(self, path: str) -> str:
        """Return the URL of a file."""
        return f"{self.url}/{quote(path)}"

    def _too_large(self, path: str, limit_bytes: int) -> VerificationError:
        return VerificationError(
            f"{self.at(path)} is larger than {limit_bytes} bytes",
            hint="it is not the file that the publisher signed",
        )


def not_found(url: str) -> NotFoundError:
    """Make the error for a file that a source does not have."""
    return NotFoundError(
        f"{url}: there is no such file",
        hint="is the URL that of a repository? `vztmpl remote list` shows it",
    )
