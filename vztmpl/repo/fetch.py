"""Reading files of a repository, wherever it is: a folder, a web server, a registry.

``repo.web`` is imported when it is needed: ``requests`` costs 75 ms.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from vztmpl.errors import NetworkError, VerificationError, VztmplError
from vztmpl.repo.source import CHUNK, HINT, Answer, Patience, Source, not_found

SCHEMES = ("http", "https", "file", "oci")
MAX_FILE_BYTES = 16 << 30
"""Of a file whose size nobody signed."""


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
