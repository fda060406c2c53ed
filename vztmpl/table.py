"""Reading a parsed TOML or JSON table into typed values, with errors that name file and key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from vztmpl.errors import ConfigError

T = TypeVar("T")
_MISSING: Any = object()
_UNUSABLE = re.compile(r"[\0\ud800-\udfff]")
_KIND_NAMES = {str: "a string", int: "a whole number", bool: "true or false", list: "a list",
               dict: "a table"}  # fmt: skip


class Table:
    """One table of a file; each key is taken once, and ``done`` refuses those left over."""

    def __init__(self, data: Mapping[str, object], where: object, prefix: str = "") -> None:
        self._left = dict(data)
        self._known: list[str] = []
        self._where = where
        self._prefix = prefix

    def take(self, key: str, kind: type[T], default: T = _MISSING) -> T:
        """Take the value of ``key``, which has to be of ``kind``; no default means required."""
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is _MISSING:
            raise self.error(key, "is required")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"must be {_KIND_NAMES.get(kind, kind)}, not {value!r}")
        if isinstance(value, str):
            self._check_usable(key, value)
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """Take a list of strings; a missing key is an empty list."""
        values = self.take(key, list, [])
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "must be a list of strings")
        for value in values:
            self._check_usable(key, value)
        return tuple(values)

    def one_or_more(self, key: str) -> tuple[str, ...]:
        """Take a string or a list of strings; a missing key is an empty list."""
        value = self._left.get(key)
        if isinstance(value, str):
            self._left[key] = [value]
        return self.strings(key)

    def table(self, key: str) -> "Table":
        """Take a table; a missing key is an empty one."""
        return Table(self.take(key, dict, {}), self._where, f"{self._prefix}{key}.")

    def tables(self, key: str) -> Iterator["Table"]:
        """Take a list of tables (``[[key]]``); a missing key is an empty list."""
        for number, value in enumerate(self.take(key, list, []), start=1):
            if not isinstance(value, dict):
                raise self.error(key, "must be a list of tables")
            yield Table(value, self._where, f"{self._prefix}{key}[{number}].")

    def keys(self) -> tuple[str, ...]:
        """Say which keys are not taken yet."""
        return tuple(self._left)

    def done(self) -> None:
        """Refuse the keys nobody took: they are misspelt."""
        from difflib import get_close_matches

        for key in self._left:
            near = get_close_matches(key, self._known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(self._known)}"
            raise ConfigError(self._where, f"{self._prefix}{key}", "is not a known key", hint=hint)

    def error(self, key: str, problem: str) -> ConfigError:
        """Make the error that says where in which file the problem is."""
        return ConfigError(self._where, f"{self._prefix}{key}", problem)

    def _check_usable(self, key: str, value: str) -> None:
        """Refuse what no path, program or UTF-8 file can take: NUL, and halves of pairs in JSON."""
        if _UNUSABLE.search(value):
            raise self.error(key, f"holds a character that can't be used: {value!r}")
