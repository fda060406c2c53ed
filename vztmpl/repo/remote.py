"""Remotes: repositories that a node knows, and the keys that it trusts for each.

ETC/remotes.d/NAME.toml         url = "https://…"
ETC/trust/NAME.asc              the public keys, as they were given
STATE/remotes/NAME.serial       the newest index that this node has seen
"""

import json
import re
import tomllib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vztmpl.errors import ConfigError, NotFoundError, UsageError, VztmplError
from vztmpl.files import locked, write_text
from vztmpl.repo.fetch import SCHEMES
from vztmpl.table import Table

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository that this node knows."""

    name: str
    url: str
    keys: Path
    """The public keys, armoured, of which one has to sign what comes from it."""


class Remotes:
    """All remotes of a node."""

    def __init__(self, etc: Path, state: Path) -> None:
        self._files = etc / "remotes.d"
        self._trust = etc / "trust"
        self._seen = state / "remotes"

    def add(self, name: str, url: str, public_keys: bytes) -> Remote:
        """Remember a remote; doing it twice is fine, another one of the same name is not."""
        from vztmpl.template.signature import fingerprints

        if not _NAME.fullmatch(name):
            hint = "use small letters, digits and . _ - after the first"
            raise UsageError(f"{name!r} is not a name for a remote", hint=hint)
        _check_url(url)
        fingerprints(public_keys)
        remote = self._named(name, url)
        with self._changing():
            if self._file(name).is_file() and not self._same(remote, public_keys):
                hint = f"`vztmpl remote remove {name}` first, or take another name"
                raise VztmplError(f"there is another remote called {name}", hint=hint)
            self._files.mkdir(parents=True, exist_ok=True)
            self._trust.mkdir(parents=True, exist_ok=True)
            write_text(remote.keys, public_keys.decode(errors="surrogateescape"))
            write_text(self._file(name), f"url = {json.dumps(url)}\n")
        return remote

    def all(self) -> list[Remote]:
        """Return the remotes by name; ConfigError when the file of one makes no sense."""
        return [self._load(path) for path in sorted(self._files.glob("*.toml"))]

    def find(self, name: str) -> Remote:
        """Return a remote; NotFoundError when there is none of that name."""
        if not (path := self._file(name)).is_file() or not _NAME.fullmatch(name):
            known = ", ".join(path.stem for path in sorted(self._files.glob("*.toml")))
            hint = f"there is {known}" if known else "`vztmpl remote add NAME URL --key FILE`"
            raise NotFoundError(f"no remote is called {name!r}", hint=hint)
        return self._load(path)

    def remove(self, name: str) -> None:
        """Forget a remote, its keys, and which index was seen last."""
        with self._changing():
            remote = self.find(name)
            self._file(name).unlink()
            remote.keys.unlink(missing_ok=True)
            self._serial_file(name).unlink(missing_ok=True)

    def last_serial(self, name: str) -> int:
        """Return the serial of the newest index seen, 0 before the first."""
        path = self._serial_file(name)
        try:
            return int(path.read_text())
        except FileNotFoundError:
            return 0
        except ValueError as error:
            hint = f"remove the remote and add it again, or remove {path}"
            raise ConfigError(path, "serial", "is not a number", hint=hint) from error

    def saw(self, name: str, serial: int) -> None:
        """Remember an index; the number never goes down, whoever else is fetching."""
        with self._changing():
            if serial > self.last_serial(name):
                write_text(self._serial_file(name), f"{serial}\n")

    def _changing(self) -> AbstractContextManager[None]:
        return locked(self._seen / ".lock", wait=True)

    def _named(self, name: str, url: str) -> Remote:
        return Remote(name=name, url=url, keys=self._trust / f"{name}.asc")

    def _same(self, remote: Remote, public_keys: bytes) -> bool:
        known = self._load(self._file(remote.name))
        return known == remote and known.keys.read_bytes() == public_keys

    def _load(self, path: Path) -> Remote:
        try:
            table = Table(tomllib.loads(path.read_text()), path)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(path, "syntax", str(error)) from error
        except RecursionError as error:
            raise ConfigError(path, "syntax", "is nested too deeply") from error
        url = table.take("url", str)
        table.done()
        try:
            _check_url(url)
        except UsageError as error:
            raise ConfigError(path, "url", str(error), hint=error.hint) from error
        return self._named(path.stem, url)

    def _file(self, name: str) -> Path:
        return self._files / f"{name}.toml"

    def _serial_file(self, name: str) -> Path:
        return self._seen / f"{name}.serial"


def _check_url(url: str) -> None:
    hint = "use http://HOST/PATH, https://HOST/PATH or file:///FOLDER"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}", hint=hint) from error
    wanted = parts.path.startswith("/") and not parts.netloc
    if parts.scheme != "file":
        wanted = bool(parts.hostname)
    if parts.scheme not in SCHEMES or not wanted or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the URL of a repository", hint=hint)
