"""Reading files of a repository, wherever it is: what all kinds of sources share, and folders.

Nothing here is trusted: no file is read beyond the size that the caller expects, no server may
send slower than ``Patience`` allows, and every way in which a source can fail is one of our
errors. ``repo.web`` is imported when it is needed: ``requests`` costs 75 ms.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from vztmpl.errors import NetworkError, NotFoundError, VerificationError, VztmplError

SCHEMES = ("http", "https", "file", "oci")
CHUNK = 1 << 18
MAX_FILE_BYTES = 16 << 30
"""Of a file whose size nobody signed."""
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


@contextmanager
def opened(url: str, patience: Patience | None = None) -> Iterator[Source]:
    """Yield the files below ``url``; connections stay open for the length of the block."""
    if urlsplit(url).scheme == "file":
        yield _Folder(url)
        return
    if urlsplit(url).scheme == "oci":
        from vztmpl.repo.registry import registry

        with registry(url, patience or Patience()) as source:
            yield source
        return
    from vztmpl.repo.web import web

    with web(url, patience or Patience()) as source:
        yield source


def worst(failed: Sequence[VztmplError]) -> VztmplError:
    """Return the error to show when all mirrors failed: a refusal before all others."""
    return max(failed, key=lambda error: isinstance(error, VerificationError))


def is_url(text: str) -> bool:
    """Say whether a word is the URL of a file rather than its name."""
    return urlsplit(text).scheme in SCHEMES


def save(url: str, file: IO[bytes], progress: Callable[[int], None]) -> None:
    """Copy the file at a URL, whatever it is, into ``file``; the errors of ``Source.read``."""
    folder, _, name = url.rpartition("/")
    with opened(folder) as source:
        answer = source.begin(f"{folder}/{name}")
        assert answer is not None  # noqa: S101 - nothing was made a condition
        with closing(answer.chunks) as chunks:
            left = MAX_FILE_BYTES
            for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise VerificationError(f"{url} is larger than {MAX_FILE_BYTES} bytes")
                file.write(chunk)
                progress(len(chunk))


class _Folder(Source):
    """A repository on this machine, or on a network file system."""

    def begin(
        self, url: str, *, start: int = 0, version: str = "", unless_version: str = ""
    ) -> Answer | None:
        path = Path(unquote(urlsplit(url).path))
        with _file_errors(url):
            status = path.stat()
        found = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
        if unless_version == found:
            return None
        start = start if version in ("", found) else 0
        return Answer(start=start, version=found, chunks=self._chunks(url, path, start))

    def _chunks(self, url: str, path: Path, start: int) -> Generator[bytes]:
        with _file_errors(url), path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK):
                yield chunk


@contextmanager
def _file_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL
        raise not_found(url) from error
    except OSError as error:
        raise NetworkError(f"{url}: {error.strerror}", hint=HINT) from error


def not_found(url: str) -> NotFoundError:
    """Make the error for a file that a source does not have."""
    return NotFoundError(
        f"{url}: there is no such file",
        hint="is the URL that of a repository? `vztmpl remote list` shows it",
    )
