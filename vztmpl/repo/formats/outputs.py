"""Putting derived files into a repository: each at once, only those that changed, none forgotten.

``.derived.json`` lists them, with what each signature was made of and by whom, or since when they
are not wanted. It is written before the first file and after the last, so a killed publisher leaves
nothing that the next one does not know; files of others in the same folders are never touched.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import time
from typing import IO

from vztmpl.files import public_folder, replacing
from vztmpl.template.signature import Keyring

FILE = ".derived.json"
_LEFT = "left "
_ABANDONED = re.compile(r"\.(.+)\.[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a few bytes."""

    path: str
    content: bytes
    signature: str = ""
    """Path of a detached signature over it, if it gets one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A text with its signature in one file: clear-signed, or else a binary message."""

    path: str
    content: bytes
    clear: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Another name of a file that is published already."""

    path: str
    to: str
    sha256: str
    signature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file that was put in place before."""

    path: str


Output = File | Signed | Link | Made


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key of a keyring that signs what is derived."""

    keyring: Keyring
    fingerprint: str

    def detached(self, data: bytes | IO[bytes]) -> bytes:
        """Return a detached signature."""
        return self.keyring.sign(data, self.fingerprint)

    def whole(self, text: bytes, *, clear: bool) -> bytes:
        """Return the signed text, clear or as a binary message."""
        if clear:
            return self.keyring.sign(text, self.fingerprint, clear=True)
        return self.keyring.sign_message(text, self.fingerprint)


class Derived:
    """The derived files of a repository; its lock is held."""

    def __init__(self, repository: Path, key: SigningKey) -> None:
        self._repository = repository
        self._key = key
        self._known = self._load()
        self._listed: set[str] = set()

    def expect(self, paths: Iterable[str]) -> None:
        """Know files as ours before they are put in place."""
        expected = dict.fromkeys(paths, "")
        left_before = {path for path in expected if self._known.get(path, "").startswith(_LEFT)}
        kept = {path: said for path, said in self._known.items() if path not in left_before}
        self._save(expected | kept)

    def write(self, outputs: Sequence[Output]) -> None:
        """Write what is new or changed, in this order."""
        self._listed = {path for output in outputs for path in _paths(output)}
        self.expect(self._listed)
        self._remove_abandoned()
        for output in outputs:
            match output:
                case File():
                    self._write_file(output)
                case Signed():
                    self._write_signed(output)
                case Link():
                    self._write_link(output)
                case Made():
                    pass
        self._save(self._known)

    def remove_others(self, grace: timedelta = timedelta(0)) -> None:
        """Remove what was not in a ``write`` for a time; call it when no index names it any more.

        Somebody who has read an index before may be fetching what that names.
        """
        now = int(time())
        left = {path: self._left(path, now) for path in set(self._known) - self._listed}
        over = {path for path, since in left.items() if since + grace.total_seconds() <= now}
        for path in sorted(over):
            (self._repository / path).unlink(missing_ok=True)
            for folder in Path(path).parents[:-1]:
                with suppress(OSError):  # it holds something else
                    (self._repository / folder).rmdir()
        waiting = {path: f"{_LEFT}{since}" for path, since in left.items() if path not in over}
        self._save({path: self._known[path] for path in self._listed} | waiting)

    def _left(self, path: str, now: int) -> int:
        """Say when a file was listed last."""
        said = self._known[path]
        return int(said.removeprefix(_LEFT)) if said.startswith(_LEFT) else now

    def _write_file(self, output: File) -> None:
        target = self._repository / output.path
        signed = self._signs(hashlib.sha256(output.content).hexdigest())
        same = _content(target) == output.content
        if same and self._is_signed(output.signature, signed):
            return
        with ExitStack() as placing:  # both names change at the same moment, or nearly
            if not same:
                placing.enter_context(self._replacing(output.path)).write(output.content)
            if output.signature:
                signature = self._key.detached(output.content)
                placing.enter_context(self._replacing(output.signature)).write(signature)
        self._known[output.signature or output.path] = signed if output.signature else ""

    def _write_signed(self, output: Signed) -> None:
        signed = self._signs(hashlib.sha256(output.content).hexdigest())
        if not self._is_signed(output.path, signed):
            with self._replacing(output.path) as file:
                file.write(self._key.whole(output.content, clear=output.clear))
            self._known[output.path] = signed

    def _write_link(self, output: Link) -> None:
        source, target = (self._repository / path for path in (output.to, output.path))
        signed = self._signs(output.sha256)
        if output.signature and not self._is_signed(output.signature, signed):
            with source.open("rb") as file:
                signature = self._key.detached(file)
        else:
            signature = b""
        if not (target.exists() and target.samefile(source)):
            public_folder(target.parent)
            partial = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
            os.link(source, partial)
            partial.replace(target)
        if signature:
            with self._replacing(output.signature) as file:
                file.write(signature)
            self._known[output.signature] = signed

    def _signs(self, sha256: str) -> str:
        return f"{self._key.fingerprint} {sha256}"

    def _is_signed(self, path: str, signed: str) -> bool:
        return not path or (self._known.get(path) == signed and (self._repository / path).is_file())

    def _replacing(self, path: str) -> AbstractContextManager[IO[bytes]]:
        target = self._repository / path
        public_folder(target.parent)
        return replacing(target)

    def _remove_abandoned(self) -> None:
        for folder in {os.path.dirname(path) for path in self._known}:  # noqa: PTH120 - thousands
            for left in (self._repository / folder).glob(".*.????????"):
                match = _ABANDONED.fullmatch(left.name)
                if match and f"{folder}/{match[1]}".lstrip("/") in self._known:
                    left.unlink()

    def _load(self) -> dict[str, str]:
        try:
            known = json.loads((self._repository / FILE).read_text())
        except (FileNotFoundError, ValueError):
            return {}  # everything is written and signed anew
        return {str(path): str(signed) for path, signed in known.items()}

    def _save(self, known: dict[str, str]) -> None:
        self._known = known
        text = (json.dumps(known, indent=0, sort_keys=True) + "\n").encode()
        if _content(self._repository / FILE) != text:
            with replacing(self._repository / FILE) as file:
                file.write(text)


def _paths(output: Output) -> tuple[str, ...]:
    signature = output.signature if isinstance(output, File | Link) else ""
    return (output.path, signature) if signature else (output.path,)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
