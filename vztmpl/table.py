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

    def __init__(
        self,
        data: Mapping[str, object],
        where: object,
        prefix: str = "",
        lines: "Lines | None" = None,
    ) -> None:
        self._left = dict(data)
        self._known: list[str] = []
        self._where = where
        self._prefix = prefix
        self._lines = lines

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
        data = self.take(key, dict, {})
        return Table(data, self._where, f"{self._prefix}{key}.", self._lines)

    def tables(self, key: str) -> Iterator["Table"]:
        """Take a list of tables (``[[key]]``); a missing key is an empty list."""
        for number, value in enumerate(self.take(key, list, []), start=1):
            if not isinstance(value, dict):
                raise self.error(key, "must be a list of tables")
            prefix = f"{self._prefix}{key}[{number}]."
            yield Table(value, self._where, prefix, self._lines)

    def keys(self) -> tuple[str, ...]:
        """Say which keys are not taken yet."""
        return tuple(self._left)

    def done(self) -> None:
        """Refuse the keys nobody took: they are misspelt."""
        from difflib import get_close_matches

        for key in self._left:
            near = get_close_matches(key, self._known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(self._known)}"
            raise self.error(key, "is not a known key", hint=hint)

    def error(self, key: str, problem: str, *, hint: str = "") -> ConfigError:
        """Make the error that says where in which file the problem is."""
        path = f"{self._prefix}{key}"
        line = self._lines.of(path) if self._lines else 0
        where = f"{self._where}:{line}" if line else self._where
        return ConfigError(where, path, problem, hint=hint)

    def _check_usable(self, key: str, value: str) -> None:
        """Refuse what no path, program or UTF-8 file can take: NUL, and halves of pairs in JSON."""
        if _UNUSABLE.search(value):
            raise self.error(key, f"holds a character that can't be used: {value!r}")


class Lines:
    """On which line of a TOML file a key stands, as far as a look at each line's start tells.

    ``tomllib`` does not say it. Keys inside inline tables are found by the line of their table.
    """

    _HEADER = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]")
    _KEY = re.compile(r"""\s*["']?([\w.-]+)["']?\s*=""")

    def __init__(self, text: str) -> None:
        self._found: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        prefix, quote = "", ""
        for number, line in enumerate(text.splitlines(), start=1):
            if quote:
                quote = "" if quote in line else quote
                continue
            if header := self._HEADER.match(line):
                prefix = self._numbered(header[2], another=header[1] == "[[")
                self._found.setdefault(prefix, number)
            elif key := self._KEY.match(line):
                self._found.setdefault(f"{prefix}.{key[1]}".lstrip("."), number)
            quote = next((q for q in ('"""', "'''") if line.count(q) == 1), "")

    def of(self, path: str) -> int:
        """Return the line of ``files[2].path``, else that of what holds it; 0 when unknown."""
        while path not in self._found and "." in path:
            path = path.rpartition(".")[0]
        return self._found.get(path, 0)

    def _numbered(self, name: str, *, another: bool) -> str:
        """Turn a header's name into the path that ``Table`` gives to what stands below it."""
        if another:
            self._counts[name] = self._counts.get(name, 0) + 1
        first, dot, rest = name.partition(".")
        number = f"[{self._counts[first]}]" if first in self._counts else ""
        return f"{first}{number}{dot}{rest}"
