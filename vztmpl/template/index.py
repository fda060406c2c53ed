"""The index of a repository: clear-signed JSON that names every template, its files and digests.

``index.json.asc`` is what nodes read; ``index.json`` is the same text without the signature, for
people and other programs. ``serial`` only grows, so a node that saw a newer index refuses an
older one; after ``expires`` a node refuses it too: a mirror can't serve an old index for ever.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from vztmpl.errors import ConfigError, VerificationError
from vztmpl.table import Table
from vztmpl.template.manifest import Manifest

FORMAT = 1
MAX_BYTES = 16 << 20
FILE = "index.json.asc"
PLAIN_FILE = "index.json"
VALID = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One build of one template in a repository."""

    name: str
    serial: str
    digest: str
    path: str
    """Folder of its files, relative to the index."""
    manifest_sha256: str
    size_bytes: int
    description: str = ""

    @classmethod
    def of(cls, manifest: Manifest, manifest_sha256: str) -> Self:
        """Make the entry for a build."""
        return cls(
            name=manifest.name,
            serial=manifest.serial,
            digest=manifest.digest,
            path=f"templates/{manifest.name}/{manifest.serial}",
            manifest_sha256=manifest_sha256,
            size_bytes=manifest.size_bytes,
            description=manifest.description,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """All that a repository offers at one time."""

    serial: int
    created: datetime
    expires: datetime
    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, data: bytes, where: object) -> Self:
        """Read an index whose signature was checked; VerificationError when it is malformed."""
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                raise VerificationError(f"{where}: is not a JSON object")
            return cls._from_table(Table(value, where))
        except (ValueError, RecursionError, ConfigError) as error:
            raise VerificationError(f"{where}: not an index: {error}") from error

    @classmethod
    def _from_table(cls, table: Table) -> Self:
        if (version := table.take("format", int)) != FORMAT:
            raise table.error("format", f"is {version}; this vztmpl reads {FORMAT}")
        return cls(
            serial=table.take("serial", int),
            created=_date(table, "created"),
            expires=_date(table, "expires"),
            entries=tuple(_entry(entry) for entry in table.tables("templates")),
        )

    def check_fresh(self, last_serial: int, now: datetime, where: object) -> None:
        """Refuse an index older than one already seen, or past its date."""
        if self.serial < last_serial:
            raise VerificationError(
                f"{where}: index {self.serial} is older than {last_serial}, which was seen before",
                hint="the mirror is behind or replays an old index; use another mirror",
            )
        if now > self.expires:
            raise VerificationError(
                f"{where}: the index expired on {self.expires:%Y-%m-%d}",
                hint="the publisher has to run `vztmpl publish` again; check this machine's clock",
            )

    def newest(self, name: str) -> Entry | None:
        """Return the newest build of a template."""
        builds = [entry for entry in self.entries if entry.name == name]
        return max(builds, key=lambda entry: entry.serial, default=None)

    def with_entries(self, new: Iterable[Entry], now: datetime) -> Self:
        """Return the next index, with these builds added or replaced."""
        merged = {(entry.name, entry.serial): entry for entry in (*self.entries, *new)}
        return type(self)(
            serial=self.serial + 1,
            created=now,
            expires=now + VALID,
            entries=tuple(entry for _, entry in sorted(merged.items())),
        )

    def to_json(self) -> bytes:
        """Return the text that is signed."""
        value = {
            "format": FORMAT,
            "serial": self.serial,
            "created": self.created.isoformat(timespec="seconds"),
            "expires": self.expires.isoformat(timespec="seconds"),
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


def _entry(table: Table) -> Entry:
    entry = Entry(
        name=table.take("name", str),
        serial=table.take("serial", str),
        digest=table.take("digest", str),
        path=table.take("path", str),
        manifest_sha256=table.take("manifest_sha256", str),
        size_bytes=table.take("size_bytes", int),
        description=table.take("description", str, ""),
    )
    parts = entry.path.split("/")
    if (
        entry.path.startswith("/")
        or any(part in ("", ".", "..") for part in parts)
        or ":" in parts[0]
    ):
        raise table.error("path", f"{entry.path!r} leads out of the repository")
    return entry
