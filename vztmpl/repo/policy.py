"""What a repository's owner wants of it: REPO/repository.toml, every line of which may be left out.

keep = 3           builds of each template that the index names
deltas = 2         older builds for which a new one gets a delta
valid_days = 30    how long an index is good
grace_hours = 24   how long files stay that no index names any more

[publish]          for whom else (``repo.formats.config``)
"""

import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from vztmpl.errors import ConfigError
from vztmpl.table import Table

FILE = "repository.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a repository is kept."""

    keep: int = 3
    deltas: int = 2
    valid: timedelta = timedelta(days=30)
    grace: timedelta = timedelta(hours=24)
    """Long enough for a reader who has the index before to fetch what that names."""

    @classmethod
    def load(cls, repository: Path) -> Self:
        """Read a repository's file; ConfigError when it makes no sense."""
        table = read(repository)
        policy = cls(
            keep=_number(table, "keep", 1, 3),
            deltas=_number(table, "deltas", 0, 2),
            valid=timedelta(days=_number(table, "valid_days", 1, 30)),
            grace=timedelta(hours=_number(table, "grace_hours", 0, 24)),
        )
        table.table("publish")  # repo.formats.config reads it
        table.done()
        return policy


def read(repository: Path) -> Table:
    """Return what a repository's file says; one that is not there says nothing."""
    path = repository / FILE
    try:
        return Table(tomllib.loads(path.read_text()), path)
    except FileNotFoundError:
        return Table({}, path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(path, "syntax", str(error)) from error


def _number(table: Table, key: str, least: int, default: int) -> int:
    value = table.take(key, int, default)
    if not least <= value <= 10_000:  # noqa: PLR2004 - more is a slip of the pen
        raise table.error(key, f"must be between {least} and 10000")
    return value
