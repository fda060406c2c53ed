"""The index of a repository: clear-signed JSON that names every template, its files and digests.

``index.json.asc`` is what nodes read; ``index.json`` is the same text without the signature, for
people and other programs. ``serial`` only grows, so a node that saw a newer index refuses an
older one; after ``expires`` a node refuses it too: a mirror can't serve an old index for ever.
``keys_version`` says which list of keys (``repo.keys``) was in force when it was signed.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from vztmpl.errors import ConfigError, VerificationError
from vztmpl.table import Table
from vztmpl.template.entry import Entry

FORMAT = 1
MAX_BYTES = 32 << 20
FILE = "index.json.asc"
PLAIN_FILE = "index.json"
VALID = timedelta(days=30)
_CLOCKS_DIFFER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """All that a repository offers at one time."""

    serial: int
    created: datetime
    expires: datetime
    entries: tuple[Entry, ...]
    keys: tuple[str, ...] = ()
    """Fingerprints of those who may sign it."""
    keys_version: int = 0
    """The newest list of keys that there is; 0 when keys were never changed."""

    @classmethod
    def parse(cls, data: bytes, where: object) -> Self:
        """Read an index whose signature was checked; VerificationError when it is malformed."""
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                raise VerificationError(f"{where}: is not a JSON object")
            return cls._from_table(Table(value, where))
        except (ValueError, OverflowError, RecursionError, ConfigError) as error:
            raise VerificationError(f"{where}: not an index: {error}") from error

    @classmethod
    def _from_table(cls, table: Table) -> Self:
        if (version := table.take("format", int)) != FORMAT:
            raise table.error("format", f"is {version}; this vztmpl reads {FORMAT}")
        return cls(
            serial=table.take("serial", int),
            created=_date(table, "created"),
            expires=_date(table, "expires"),
            keys=table.strings("keys"),
            keys_version=table.take("keys_version", int, 0),
            entries=tuple(Entry.from_table(entry) for entry in table.tables("templates")),
        )

    def check_fresh(self, last_serial: int, now: datetime, where: object) -> None:
        """Refuse an index older than one already seen, past its date, or from the future."""
        if self.serial < last_serial:
            raise VerificationError(
                f"{where}: index {self.serial} is older than {last_serial}, which was seen before",
                hint="the mirror is behind or replays an old index; use another mirror",
            )
        if now > self.expires:
            raise VerificationError(
                f"{where}: the index expired on {self.expires:%Y-%m-%d}",
                hint="its publisher has to run `vztmpl repo sign`; check this machine's clock",
            )
        if self.created > now + _CLOCKS_DIFFER:
            raise VerificationError(
                f"{where}: the index is of {self.created:%Y-%m-%d}, and here it is {now:%Y-%m-%d}",
                hint="set this machine's clock: with a wrong one no date of expiry can be checked",
            )

    def newest(self, name: str) -> Entry | None:
        """Return the newest build of a template."""
        return max(self.builds(name), key=lambda entry: entry.serial, default=None)

    def builds(self, name: str) -> list[Entry]:
        """Return the builds of a template, the oldest first."""
        found = [entry for entry in self.entries if entry.name == name]
        return sorted(found, key=lambda entry: entry.serial)

    def latest(self) -> dict[str, Entry]:
        """Return the newest build of each template, by name."""
        return {entry.name: entry for entry in sorted(self.entries, key=lambda one: one.serial)}

    def next(
        self,
        entries: Iterable[Entry],
        now: datetime,
        *,
        valid: timedelta = VALID,
        keys: Iterable[str] = (),
        keys_version: int = 0,
    ) -> Self:
        """Return the index that follows this one and holds just ``entries``."""
        return type(self)(
            serial=self.serial + 1,
            created=now,
            expires=now + valid,
            keys=tuple(sorted(keys)),
            keys_version=keys_version,
            entries=tuple(sorted(entries, key=lambda entry: (entry.name, entry.serial))),
        )

    def to_json(self) -> bytes:
        """Return the text that is signed."""
        value = {
            "format": FORMAT,
            "serial": self.serial,
            "created": self.created.isoformat(timespec="seconds"),
            "expires": self.expires.isoformat(timespec="seconds"),
            "keys": self.keys,
            "keys_version": self.keys_version,
            "templates": [asdict(entry) for entry in self.entries],
        }
        return (json.dumps(value, indent=1) + "\n").encode()


EMPTY = Index(
    serial=0,
    created=datetime.fromtimestamp(0, UTC),
    expires=datetime.fromtimestamp(0, UTC),
    entries=(),
)


def _date(table: Table, key: str) -> datetime:
    date = datetime.fromisoformat(table.take(key, str))
    if date.tzinfo is None:
        raise table.error(key, "names no time zone")
    return date
