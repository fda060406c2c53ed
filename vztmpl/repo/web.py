"""Reading files of a repository over http and https: the only user of requests.

``ask``, ``has``, ``read_as`` and ``log_in`` are what registries need beyond that.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from threading import Thread
from time import monotonic
from typing import IO
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from vztmpl.errors import NetworkError, VerificationError
from vztmpl.repo.source import CHUNK, HINT, Answer, Patience, Source, not_found

_MAX_REDIRECTS = 5
_MAX_TOKEN_BYTES = 1 << 20
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


@contextmanager
def web(url: str, patience: Patience) -> Iterator["Web"]:
    """Yield the files below a URL; connections stay open for the length of the block."""
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        session.headers["User-Agent"] = "vztmpl"
        yield Web(url, session, patience)


class Web(Source):
    """A repository on a web server."""

    def __init__(self, url: str, session: requests.Session, patience: Patience) -> None:
        super().__init__(url)
        self._session = session
        self._patience = patience

    def begin(
        self, url: str, *, start: int = 0, version: str = "", unless_version: str = ""
    ) -> Answer | None:
        """Begin to read a file; None when it still is ``unless_version``."""
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

    def read_as(self, url: str, media_type: str, limit_bytes: int) -> bytes:
        """Return a small file in one of the forms that the server has of it."""
        with _translated(url):
            response = self._get(url, {"Accept": media_type})
        _start(response, url, 0)
        content = bytearray()
        for chunk in self._chunks(url, response):
            content += chunk
            if len(content) > limit_bytes:
                raise VerificationError(f"{url} is larger than {limit_bytes} bytes")
        return bytes(content)

    def has(self, url: str) -> bool:
        """Say whether there is something at a URL."""
        with _translated(url):
            return self._session.head(url, timeout=self._times, allow_redirects=True).ok

    def ask(
        self, method: str, url: str, content: bytes | IO[bytes], media_type: str
    ) -> requests.Response:
        """Send something; NetworkError unless the server is content."""
        with _translated(url):
            headers = {"Content-Type": media_type}
            response = self._session.request(
                method, url, data=content, headers=headers, timeout=self._times
            )
        if not response.ok:
            raise _refused(url, response)
        return response

    def log_in(self, url: str, scope: str) -> None:
        """Get a token where a server wants one (RFC 6750; the realm's account is netrc's)."""
        with _translated(url):
            response = self._session.get(url, timeout=self._times, stream=True)
            response.close()
            challenge = response.headers.get("www-authenticate", "")
            if response.status_code != HTTPStatus.UNAUTHORIZED or "Bearer " not in challenge:
                return
            asked = dict(_CHALLENGE.findall(challenge))
            realm = asked.pop("realm", "")
            _check_redirect(url, realm)
            where = f"{realm}?{urlencode({**asked, 'scope': scope})}"
            token = _token(self.read_as(where, "application/json", _MAX_TOKEN_BYTES))
            self._session.headers["Authorization"] = f"Bearer {token}"

    @property
    def _times(self) -> tuple[float, float]:
        return self._patience.connect_seconds, self._patience.silent_seconds

    def _chunks(self, url: str, response: requests.Response) -> Generator[bytes]:
        watch = _Watch(self._patience, url)
        with _translated(url), closing(response):
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                watch.saw(len(chunk))
                yield chunk

    def _get(self, url: str, headers: Mapping[str, str | None]) -> requests.Response:
        """Return the answer with the file, after redirects that are allowed."""
        where = url
        for _ in range(_MAX_REDIRECTS + 1):
            ask = partial(
                self._session.get,
                where,
                headers=headers,
                stream=True,
                timeout=self._times,
                allow_redirects=False,
            )
            response = _within(sum(self._times), url, ask)
            if not response.is_redirect:
                return response
            response.close()
            there = urljoin(where, response.headers["location"])
            _check_redirect(url, there)
            if urlsplit(there).netloc != urlsplit(where).netloc:
                headers = {**headers, "Authorization": None}  # a token is for who asked for it
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
    raise _refused(url, response)


def _refused(url: str, response: requests.Response) -> NetworkError:
    said = response.headers.get("content-range", "")
    answer = f"{response.status_code} {response.reason or ''} {said}".strip()
    return NetworkError(f"{url}: the server answered {answer}", hint=HINT)


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


def _token(answer: bytes) -> str:
    told = json.loads(answer)
    if not isinstance(told, dict):
        raise ValueError("the server gave no token")
    return str(told.get("token") or told.get("access_token"))


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
