"""Reading files of a repository over http, https or from a folder: the only user of requests.

Nothing here is trusted: no file is read beyond the size that the caller expects, and every way in
which a server can fail is one of our errors. ``requests`` costs 75 ms to import, so ``file://``
never does.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

from vztmpl.errors import NetworkError, NotFoundError, VerificationError

if TYPE_CHECKING:
    import requests

SCHEMES = ("http", "https", "file")
_CHUNK = 1 << 18
_TIMEOUT_SECONDS = (10, 30)
"""To connect, and between two bytes."""
_MAX_REDIRECTS = 5
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_HINT = "try again later; `vztmpl remote list` shows the URL"


class Source(ABC):
    """Files below a base URL."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def read(self, path: str, limit_bytes: int) -> bytes:
        """Return a small file; VerificationError when it has more than ``limit_bytes``.

        NotFoundError when it is not there, NetworkError when it can't be read now.
        """
        content = bytearray()
        with closing(self._chunks(self._at(path))) as chunks:
            for chunk in chunks:
                content += chunk
                if len(content) > limit_bytes:
                    raise self._too_large(path, limit_bytes)
        return bytes(content)

    def download(
        self, path: str, file: IO[bytes], size_bytes: int, progress: Callable[[int], None]
    ) -> str:
        """Copy a file of exactly ``size_bytes`` into ``file``; return its sha256 in hex.

        VerificationError when there is more of it, otherwise the errors of ``read``.
        """
        digest = hashlib.sha256()
        left = size_bytes
        with closing(self._chunks(self._at(path))) as chunks:
            for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise self._too_large(path, size_bytes)
                file.write(chunk)
                digest.update(chunk)
                progress(len(chunk))
        if left:
            raise NetworkError(f"{self._at(path)} ended {left} bytes too early", hint=_HINT)
        return digest.hexdigest()

    @abstractmethod
    def _chunks(self, url: str) -> Generator[bytes]:
        """Yield a file piece by piece."""

    def _at(self, path: str) -> str:
        return f"{self._url}/{quote(path)}"

    def _too_large(self, path: str, limit_bytes: int) -> VerificationError:
        return VerificationError(
            f"{self._at(path)} is larger than {limit_bytes} bytes",
            hint="it is not the file that the publisher signed",
        )


@contextmanager
def opened(url: str) -> Iterator[Source]:
    """Yield the files below ``url``; connections stay open for the length of the block."""
    if urlsplit(url).scheme == "file":
        yield _Folder(url)
        return
    import requests

    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        session.headers["User-Agent"] = "vztmpl"
        yield _Web(url, session)


class _Folder(Source):
    """A repository on this machine, or on a network file system."""

    def _chunks(self, url: str) -> Generator[bytes]:
        path = Path(unquote(urlsplit(url).path))
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL
            raise _not_found(url) from error
        except OSError as error:
            raise NetworkError(f"{url}: {error.strerror}", hint=_HINT) from error


class _Web(Source):
    """A repository on a web server."""

    def __init__(self, url: str, session: "requests.Session") -> None:
        super().__init__(url)
        self._session = session

    def _chunks(self, url: str) -> Generator[bytes]:
        import requests
        from urllib3.exceptions import HTTPError

        try:
            with closing(self._get(url)) as response:
                yield from response.raw.stream(_CHUNK, decode_content=False)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise NetworkError(f"{url}: {_reason(error)}", hint=_HINT) from error

    def _get(self, url: str) -> "requests.Response":
        """Return the answer with the file, after redirects within the scheme."""
        where = url
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._session.get(
                where, stream=True, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            )
            if not response.is_redirect:
                _check(response, url)
                return response
            response.close()
            there = urljoin(where, response.headers["location"])
            if urlsplit(there).scheme != urlsplit(url).scheme:
                hint = "if that is right, remove the remote and add it with the new URL"
                raise NetworkError(f"{url} leads to another scheme: {there}", hint=hint)
            where = there
        raise NetworkError(f"{url} leads on more than {_MAX_REDIRECTS} times", hint=_HINT)


def _check(response: "requests.Response", url: str) -> None:
    if response.status_code == HTTPStatus.OK:
        return
    response.close()
    if response.status_code in _GONE:
        raise _not_found(url)
    answer = f"{response.status_code} {response.reason or ''}".strip()
    raise NetworkError(f"{url}: the server answered {answer}", hint=_HINT)


def _not_found(url: str) -> NotFoundError:
    return NotFoundError(
        f"{url}: there is no such file",
        hint="is the URL that of a repository? `vztmpl remote list` shows it",
    )


def _reason(error: BaseException) -> str:
    """Say why, without the layers that the libraries put around it."""
    inner = error
    while cause := inner.__cause__ or inner.__context__:
        inner = cause
    return (inner.strerror if isinstance(inner, OSError) else None) or str(inner) or str(error)
