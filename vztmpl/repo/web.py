"""Reading files of a repository over http and https: the only user of requests."""

import ipaddress
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from threading import Thread
from time import monotonic
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from vztmpl.errors import NetworkError
from vztmpl.repo.fetch import CHUNK, HINT, Answer, Patience, Source, not_found

_MAX_REDIRECTS = 5
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


@contextmanager
def web(url: str, patience: Patience) -> Iterator[Source]:
    """Yield the files below a URL; connections stay open for the length of the block."""
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        session.headers["User-Agent"] = "vztmpl"
        yield _Web(url, session, patience)


class _Web(Source):
    """A repository on a web server."""

    def __init__(self, url: str, session: requests.Session, patience: Patience) -> None:
        super().__init__(url)
        self._session = session
        self._patience = patience

    def begin(
        self, url: str, *, start: int = 0, version: str = "", unless_version: str = ""
    ) -> Answer | None:
        headers: dict[str, str] = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if version:
                headers["If-Range"] = version
        if unless_version:
            quoted = unless_version.startswith('"')
            headers["If-None-Match" if quoted else "If-Modified-Since"] = unless_version
        with _translated(url):
            response = self._get(url, headers)
        if response.status_code == HTTPStatus.NOT_MODIFIED and unless_version:
            response.close()
            return None
        began = _start(response, url, start)
        return Answer(start=began, version=_version(response), chunks=self._chunks(url, response))

    def _chunks(self, url: str, response: requests.Response) -> Generator[bytes]:
        watch = _Watch(self._patience, url)
        with _translated(url), closing(response):
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                watch.saw(len(chunk))
                yield chunk

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        """Return the answer with the file, after redirects that are allowed."""
        where = url
        times = (self._patience.connect_seconds, self._patience.silent_seconds)
        for _ in range(_MAX_REDIRECTS + 1):
            ask = partial(
                self._session.get,
                where,
                headers=headers,
                stream=True,
                timeout=times,
                allow_redirects=False,
            )
            response = _within(sum(times), url, ask)
            if not response.is_redirect:
                return response
            response.close()
            there = urljoin(where, response.headers["location"])
            _check_redirect(url, there)
            where = there
        raise NetworkError(f"{url} leads on more than {_MAX_REDIRECTS} times", hint=HINT)


def _within(seconds: float, url: str, ask: Callable[[], requests.Response]) -> requests.Response:
    """Return the answer when its headers are there in time.

    The socket's own timeout begins anew with every byte. A thread that is still reading headers is
    left behind; it ends with the process.
    """
    got: list[requests.Response | BaseException] = []

    def work() -> None:
        try:
            got.append(ask())
        except BaseException as error:  # raised where it is waited for
            got.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not got:
        raise NetworkError(f"{url}: too slow: no answer in {seconds:.0f} s", hint=HINT)
    if isinstance(got[0], BaseException):
        raise got[0]
    return got[0]


class _Watch:
    """Refuses a server that keeps us waiting for ever with a byte now and then."""

    def __init__(self, patience: Patience, url: str) -> None:
        self._patience, self._url = patience, url
        self._since, self._bytes = monotonic(), 0

    def saw(self, count: int) -> None:
        self._bytes += count
        passed = monotonic() - self._since
        if passed < self._patience.window_seconds:
            return
        if self._bytes < self._patience.least_bytes:
            raise NetworkError(
                f"{self._url}: too slow: {self._bytes} bytes in {passed:.0f} s", hint=HINT
            )
        self._since, self._bytes = monotonic(), 0


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, HTTPError, OSError, ValueError) as error:
        raise NetworkError(f"{url}: {_reason(error)}", hint=HINT) from error


def _start(response: requests.Response, url: str, asked: int) -> int:
    """Return where the answer begins; an error unless it is the file or the part asked for."""
    if response.status_code == HTTPStatus.OK:
        return 0
    said = response.headers.get("content-range", "")
    response_is_part = response.status_code == HTTPStatus.PARTIAL_CONTENT and asked
    if response_is_part and said.startswith(f"bytes {asked}-"):
        return asked
    response.close()
    if response.status_code in _GONE:
        raise not_found(url)
    answer = f"{response.status_code} {response.reason or ''} {said}".strip()
    raise NetworkError(f"{url}: the server answered {answer}", hint=HINT)


def _version(response: requests.Response) -> str:
    """Return a strong ETag, or the date of change: what If-Range takes (RFC 9110, 13.1.5)."""
    etag: str = response.headers.get("etag", "")
    date: str = response.headers.get("last-modified", "")
    return etag if etag.startswith('"') else date


def _check_redirect(url: str, there: str) -> None:
    """Refuse what a server has no business to send us to; another public host is fine.

    Every byte is checked anyway; this keeps a mirror from making a node ask its own neighbours.
    """
    hint = "if that is right, remove the remote and add it with the new URL"
    old, new = urlsplit(url), urlsplit(there)
    if new.scheme != old.scheme:
        raise NetworkError(f"{url} leads to another scheme: {there}", hint=hint)
    if new.hostname != old.hostname and _is_local(new.hostname or ""):
        raise NetworkError(f"{url} leads into a private network: {there}", hint=hint)


def _is_local(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def _reason(error: BaseException) -> str:
    """Say why, without the layers that the libraries put around it."""
    inner = error
    while cause := inner.__cause__ or inner.__context__:
        inner = cause
    return (inner.strerror if isinstance(inner, OSError) else None) or str(inner) or str(error)
