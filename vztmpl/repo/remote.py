"""Remotes: repositories that a node knows, and the keys that it trusts for each.

ETC/remotes.d/NAME.toml         url = "https://…", mirrors = ["https://…"]
ETC/trust/NAME.asc              the public keys, as they were given
STATE/remotes/NAME.json         what this node has seen of it (``repo.memory``)
STATE/remotes/NAME.index        the newest index, verified
"""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from vztmpl.errors import ConfigError, NotFoundError, UsageError, VztmplError
from vztmpl.files import locked, write_text
from vztmpl.repo.fetch import SCHEMES
from vztmpl.repo.memory import Memory
from vztmpl.table import Table
from vztmpl.template.index import Index

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository that this node knows."""

    name: str
    url: str
    mirrors: tuple[str, ...] = ()
    """Other URLs of the same files."""
    keys: Path
    """The public keys, armoured, as the admin gave them."""

    @property
    def urls(self) -> tuple[str, ...]:
        """All places of it, in the order in which they are asked."""
        return self.url, *self.mirrors


class Remotes:
    """All remotes of a node."""

    def __init__(self, etc: Path, state: Path) -> None:
        self._files = etc / "remotes.d"
        self._trust = etc / "trust"
        self._seen = state / "remotes"

    def add(self, name: str, url: str, public_keys: bytes, mirrors: Sequence[str] = ()) -> Remote:
        """Remember a remote; doing it twice is fine, another one of the same name is not."""
        from vztmpl.template.signature import fingerprints

        if not _NAME.fullmatch(name):
            hint = "use small letters, digits and . _ - after the first"
            raise UsageError(f"{name!r} is not a name for a remote", hint=hint)
        for one in (url, *mirrors):
            _check_url(one)
        fingerprints(public_keys)
        remote = self._named(name, url, mirrors)
        with self._changing():
            if self._file(name).is_file() and not self._same(remote, public_keys):
                hint = f"`vztmpl remote remove {name}` first, or take another name"
                raise VztmplError(f"there is another remote called {name}", hint=hint)
            self._files.mkdir(parents=True, exist_ok=True)
            self._trust.mkdir(parents=True, exist_ok=True)
            write_text(remote.keys, public_keys.decode(errors="surrogateescape"))
            write_text(self._file(name), _toml(remote))
        return remote

    def all(self) -> list[Remote]:
        """Return the remotes by name, those whose file makes sense."""
        return [remote for remote in self._loaded() if isinstance(remote, Remote)]

    def problems(self) -> list[ConfigError]:
        """Return what is wrong with the files of the others."""
        return [error for error in self._loaded() if isinstance(error, ConfigError)]

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
            self._memory_file(name).unlink(missing_ok=True)
            self._index_file(name).unlink(missing_ok=True)

    def memory(self, remote: Remote) -> Memory:
        """Return what was seen of a remote since its admin gave the keys that it has."""
        memory = Memory.load(self._memory_file(remote.name))
        given = remote.keys.read_bytes()
        digest = sha256(given).hexdigest()
        return memory if memory.given == digest else Memory.begin(given, digest)

    def remember(self, remote: Remote, change: Callable[[Memory], Memory]) -> Memory:
        """Change what is remembered; ``change`` sees what others remembered meanwhile."""
        with self._changing():
            memory = change(self.memory(remote))
            memory.save(self._memory_file(remote.name))
        return memory

    def remember_index(self, remote: Remote, text: bytes, seen: Callable[[Memory], Memory]) -> None:
        """Keep a verified index and what was seen with it; the newest one stays."""
        with self._changing():
            before = self.memory(remote)
            after = seen(before)
            if after.serial >= before.serial:
                write_text(self._index_file(remote.name), text.decode())
                after.save(self._memory_file(remote.name))

    def has_index(self, remote: Remote) -> bool:
        """Say whether an index was seen since the admin gave the keys that there are."""
        return bool(self.memory(remote).signer) and self._index_file(remote.name).is_file()

    def index(self, remote: Remote) -> Index:
        """Return the newest index seen, without the network; NotFoundError before the first."""
        if not self.has_index(remote):
            raise NotFoundError(
                f"nothing is known yet of {remote.name}",
                hint=f"`vztmpl update {remote.name}` asks it",
            )
        path = self._index_file(remote.name)
        return Index.parse(path.read_bytes(), path)

    def _changing(self) -> AbstractContextManager[None]:
        return locked(self._seen / ".lock", wait=True)

    def _named(self, name: str, url: str, mirrors: Sequence[str]) -> Remote:
        keys = self._trust / f"{name}.asc"
        return Remote(name=name, url=url, mirrors=tuple(mirrors), keys=keys)

    def _same(self, remote: Remote, public_keys: bytes) -> bool:
        known = self._load(self._file(remote.name))
        return known == remote and known.keys.read_bytes() == public_keys

    def _loaded(self) -> Iterator[Remote | ConfigError]:
        for path in sorted(self._files.glob("*.toml")):
            try:
                yield self._load(path)
            except ConfigError as error:
                yield error

    def _load(self, path: Path) -> Remote:
        try:
            table = Table(tomllib.loads(path.read_text()), path)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(path, "syntax", str(error)) from error
        except RecursionError as error:
            raise ConfigError(path, "syntax", "is nested too deeply") from error
        url, mirrors = table.take("url", str), table.strings("mirrors")
        table.done()
        try:
            for one in (url, *mirrors):
                _check_url(one)
        except UsageError as error:
            raise ConfigError(path, "url", str(error), hint=error.hint) from error
        return self._named(path.stem, url, mirrors)

    def _file(self, name: str) -> Path:
        return self._files / f"{name}.toml"

    def _memory_file(self, name: str) -> Path:
        return self._seen / f"{name}.json"

    def _index_file(self, name: str) -> Path:
        return self._seen / f"{name}.index"


def _toml(remote: Remote) -> str:
    lines = [f"url = {json.dumps(remote.url)}\n"]
    if remote.mirrors:
        lines.append(f"mirrors = {json.dumps(remote.mirrors)}\n")
    return "".join(lines)


def _check_url(url: str) -> None:
    hint = "use http://HOST/PATH, https://HOST/PATH, oci://HOST/PATH or file:///FOLDER"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}", hint=hint) from error
    wanted = parts.path.startswith("/") and not parts.netloc
    if parts.scheme != "file":
        wanted = bool(parts.hostname)
    if parts.scheme not in SCHEMES or not wanted or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the URL of a repository", hint=hint)
