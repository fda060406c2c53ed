"""One cell of a recipe's matrix, and the values in its file that depend on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vztmpl.table import Table

_VARIABLE = re.compile(r"\{\{ *(\w*) *\}\}")
_MAX_FILE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A release, an architecture and a set: what filters compare and what texts may name."""

    filters: Mapping[str, str]
    """Release, arch and set."""
    words: Mapping[str, str]
    """What ``{word}`` in a short text stands for."""
    variables: dict[str, str] = field(default_factory=dict)
    """What ``{{name}}`` in a templated file stands for, besides the words."""

    def lets_through(self, entry: Table) -> bool:
        """Read an entry's ``when`` filter: every key it names must match one of its words."""
        when = entry.table("when")
        wanted = {key: when.one_or_more(key) for key in self.filters}
        when.done()
        return all(not words or self.filters[key] in words for key, words in wanted.items())

    def filled(self, table: Table, key: str, text: str, **more: str) -> str:
        """Put the words into a text that may hold ``{word}``."""
        words = {**self.words, **more}
        try:
            return text.format_map(words)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            known = ", ".join(f"{{{word}}}" for word in words)
            raise table.error(key, f"may hold {known} and no other braces") from error

    def expanded(self, table: Table, text: str) -> str:
        """Put words and variables into the content of a file that may hold ``{{name}}``."""
        known = {**self.words, **self.variables}

        def value(match: re.Match[str]) -> str:
            if match[1] not in known:
                names = ", ".join(sorted(known))
                raise table.error("template", f"{match[0]} is none of {names}")
            return known[match[1]]

        return _VARIABLE.sub(value, text)


def matching(table: Table, key: str, pattern: re.Pattern[str], like: str, default: str = "") -> str:
    """Take a string that must look like the example ``like``; a missing key is ``default``."""
    value = table.take(key, str, default)
    if value != default and not pattern.fullmatch(value):
        raise table.error(key, f"must be like {like!r}, not {value!r}")
    return value


def content(table: Table, key: str, path: Path) -> bytes:
    """Return what is in a file that ``key`` names; ConfigError when it can't be read."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise table.error(key, f"{path} is larger than {_MAX_FILE_BYTES >> 20} MB")
        return path.read_bytes()
    except OSError as error:
        raise table.error(key, f"{path}: {error.strerror}") from error


def words(table: Table) -> dict[str, str]:
    """Take a whole table of strings."""
    return {key: table.take(key, str) for key in table.keys()}  # noqa: SIM118 - a Table is no dict
