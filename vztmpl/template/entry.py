"""What an index says of one build of a template: its files, its deltas, what changed in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from vztmpl.errors import VztmplError
from vztmpl.table import Table
from vztmpl.template.manifest import ARCHIVE_SUFFIX, Manifest
from vztmpl.template.name import TemplateName


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a build, whatever is in it."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A file that makes this build of an older one's tree."""

    since: str
    """Digest of the older build."""
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Packages against the build before: names to versions."""

    since: str = ""
    """Serial of the build before; empty for the first one."""
    added: Mapping[str, str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    """Values are ``OLD -> NEW``."""

    @classmethod
    def between(cls, old: Manifest | None, new: Manifest) -> Self:
        """Say what differs; nothing when there is no build before."""
        if old is None:
            return cls()
        both = old.packages.keys() & new.packages.keys()
        return cls(
            since=old.serial,
            added={name: new.packages[name] for name in sorted(new.packages.keys() - both)},
            removed={name: old.packages[name] for name in sorted(old.packages.keys() - both)},
            changed={
                name: f"{old.packages[name]} -> {new.packages[name]}"
                for name in sorted(both)
                if old.packages[name] != new.packages[name]
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One build of one template in a repository."""

    name: str
    serial: str
    digest: str
    arch: str
    path: str
    """Folder of its files, relative to the index."""
    size_bytes: int
    """Of the archive."""
    unpacked_bytes: int
    """Of the tar in it."""
    files: Mapping[str, File]
    """All files in the folder, by name: archive, manifest, signature, reports, deltas."""
    description: str = ""
    deltas: tuple[Delta, ...] = ()
    changes: Changes = field(default_factory=Changes)

    @property
    def archive(self) -> str:
        """Name the archive in ``files``."""
        return f"{self.name}{ARCHIVE_SUFFIX}"

    def delta_since(self, digest: str) -> Delta | None:
        """Return the delta that makes this build of another, if there is one."""
        return next((delta for delta in self.deltas if delta.since == digest), None)

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        path: str,
        files: Mapping[str, File],
        deltas: tuple[Delta, ...] = (),
        changes: Changes | None = None,
    ) -> Self:
        """Make the entry for a build."""
        return cls(
            name=manifest.name,
            serial=manifest.serial,
            digest=manifest.digest,
            arch=TemplateName.parse(manifest.name).arch,
            path=path,
            size_bytes=manifest.size_bytes,
            unpacked_bytes=manifest.unpacked_bytes,
            files=files,
            description=manifest.description,
            deltas=deltas,
            changes=changes or Changes(),
        )

    @classmethod
    def from_table(cls, table: Table) -> Self:
        """Read an entry; ConfigError when it is malformed or leads out of the repository."""
        entry = cls(
            name=table.take("name", str),
            serial=table.take("serial", str),
            digest=table.take("digest", str),
            arch=table.take("arch", str),
            path=table.take("path", str),
            size_bytes=table.take("size_bytes", int),
            unpacked_bytes=table.take("unpacked_bytes", int),
            files=_files(table.table("files")),
            description=table.take("description", str, ""),
            deltas=tuple(_delta(delta) for delta in table.tables("deltas")),
            changes=_changes(table.table("changes")),
        )
        entry._check(table)
        return entry

    def _check(self, table: Table) -> None:
        try:
            TemplateName.parse(self.name)
        except VztmplError as error:
            raise table.error("name", str(error)) from error
        parts = self.path.split("/")
        if (
            self.path.startswith("/")
            or any(part in ("", ".", "..") for part in parts)
            or ":" in parts[0]
        ):
            raise table.error("path", f"{self.path!r} leads out of the repository")
        wanted = {self.archive, f"{self.name}.json", f"{self.name}.json.asc"}
        if lacking := (wanted | {delta.file for delta in self.deltas}) - self.files.keys():
            raise table.error("files", f"does not name {min(lacking)}")


def _files(table: Table) -> dict[str, File]:
    files = {}
    for name in table.keys():  # noqa: SIM118 - no dict
        if "/" in name or name.startswith("."):
            raise table.error(name, "is not the name of a file")
        file = table.table(name)
        files[name] = File(size_bytes=file.take("size_bytes", int), sha256=file.take("sha256", str))
    return files


def _delta(table: Table) -> Delta:
    return Delta(since=table.take("since", str), file=table.take("file", str))


def _changes(table: Table) -> Changes:
    return Changes(
        since=table.take("since", str, ""),
        added=table.take("added", dict, {}),
        removed=table.take("removed", dict, {}),
        changed=table.take("changed", dict, {}),
    )
