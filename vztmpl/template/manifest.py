"""The manifest: what a template's publisher says of it, as signed JSON beside the archive.

A template is three files: ``NAME.tar.zst``, ``NAME.json`` (this), and ``NAME.json.asc``, a detached
OpenPGP signature over the manifest; more may stand beside them, as ``NAME.cdx.json``. The manifest
holds every digest, so one signature covers all.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from vztmpl.errors import ConfigError, NotFoundError, VerificationError, VztmplError
from vztmpl.table import Table
from vztmpl.template.name import TemplateName

FORMAT = 1
MAX_BYTES = 4 << 20
MAX_EXTRA_BYTES = 16 << 20
ARCHIVE_SUFFIX = ".tar.zst"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SERIAL = re.compile(r"\d{8}T\d{4}Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One build of a template."""

    name: str
    serial: str
    """When it was built, UTC, as ``20261123T0624Z``."""
    digest: str
    """sha256 (hex) of the uncompressed tar: the template's identity."""
    sha256: str
    """sha256 (hex) of the compressed file."""
    size_bytes: int
    """Of the compressed file."""
    unpacked_bytes: int
    """Of the uncompressed tar."""
    epoch: int
    """SOURCE_DATE_EPOCH of the build: no file is newer (seconds since 1970)."""
    description: str = ""
    recipe: str = ""
    """sha256 (hex) of the resolved recipe."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Package name (with ``:arch`` where the package manager says so) to version."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What else the recipe says of the template."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Versions of what made it: vztmpl, the bootstrapper, tar, libzstd."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Names of what else belongs to it, as the SBOM, to their sha256 (hex)."""
    lint: Mapping[str, Any] = field(default_factory=dict)
    """What lint found: ``errors``, ``warnings``, ``found`` (rule to count), ``waived``."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Of an imported tarball: ``source``, ``sha256``, ``proof``, ``signer``."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest file without a look at its signature."""
        try:
            with path.open("rb") as file:
                return cls.parse(file.read(MAX_BYTES), path)
        except FileNotFoundError as error:
            hint = "a template is NAME.tar.zst with its NAME.json beside it"
            raise NotFoundError(f"{path} is missing", hint=hint) from error

    @classmethod
    def parse(cls, data: bytes, where: object) -> Self:
        """Read a manifest; VerificationError when it is not one of ours, whole and typed."""
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                raise VerificationError(f"{where}: is not a JSON object")
            return cls._from_table(Table(value, where))
        except (ValueError, RecursionError, ConfigError) as error:
            raise VerificationError(
                f"not a manifest: {error if isinstance(error, ConfigError) else where}",
                hint="fetch or build the template again",
            ) from error

    @classmethod
    def _from_table(cls, table: Table) -> Self:
        if (version := table.take("format", int)) != FORMAT:
            raise table.error("format", f"is {version}; this vztmpl reads {FORMAT}")
        manifest = cls(
            name=table.take("name", str),
            serial=table.take("serial", str),
            digest=table.take("digest", str),
            sha256=table.take("sha256", str),
            size_bytes=table.take("size_bytes", int),
            unpacked_bytes=table.take("unpacked_bytes", int),
            epoch=table.take("epoch", int),
            description=table.take("description", str, ""),
            recipe=table.take("recipe", str, ""),
            packages=table.take("packages", dict, {}),
            metadata=table.take("metadata", dict, {}),
            tools=table.take("tools", dict, {}),
            files=_files(table),
            lint=table.take("lint", dict, {}),
            origin=table.take("origin", dict, {}),
        )
        manifest._check(table)
        return manifest

    def _check(self, table: Table) -> None:
        try:
            TemplateName.parse(self.name)
        except VztmplError as error:
            raise table.error("name", str(error)) from error
        if not all(file.startswith(f"{self.name}.") for file in self.files):
            raise table.error("files", "names a file of another template")
        if not _SERIAL.fullmatch(self.serial):
            raise table.error("serial", f"{self.serial!r} is not like 20261123T0624Z")
        for key, value in (("digest", self.digest), ("sha256", self.sha256)):
            if not _SHA256.fullmatch(value):
                raise table.error(key, "is not a sha256 in hex")
        if min(self.size_bytes, self.unpacked_bytes, self.epoch) < 0:
            raise table.error("size_bytes, unpacked_bytes, epoch", "must not be negative")

    def to_json(self) -> bytes:
        """Return the bytes that are signed: sorted keys, UTF-8, a newline at the end."""
        return (
            json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n"
        ).encode()


def _files(table: Table) -> dict[str, str]:
    """Take the digests of what stands beside the archive; old manifests have none."""
    files = table.table("files")
    digests = {name: files.take(name, str) for name in files.keys()}  # noqa: SIM118 - no dict
    for name, digest in digests.items():
        if "/" in name or not _SHA256.fullmatch(digest):
            raise files.error(name, "is not the sha256 in hex of a file")
    return digests


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFiles:
    """The files of a template, side by side in one folder."""

    archive: Path
    manifest: Path
    signature: Path
    sbom: Path
    """Its packages as CycloneDX JSON."""
    provenance: Path
    """How it was made, as an in-toto statement."""
    lock: Path
    """What it was made of, exactly, for a rebuild."""

    @classmethod
    def of(cls, folder: Path, name: str) -> Self:
        """Name the files that a template has in a folder, there or not."""
        return cls(
            archive=folder / f"{name}{ARCHIVE_SUFFIX}",
            manifest=folder / f"{name}.json",
            signature=folder / f"{name}.json.asc",
            sbom=folder / f"{name}.cdx.json",
            provenance=folder / f"{name}.provenance.json",
            lock=folder / f"{name}.lock",
        )

    @classmethod
    def beside(cls, archive: Path) -> Self:
        """Name the files that belong to an archive; NotFoundError when the archive is missing."""
        if not archive.name.endswith(ARCHIVE_SUFFIX):
            hint = f"give the NAME{ARCHIVE_SUFFIX}; its manifest and signature are found beside it"
            raise NotFoundError(f"{archive} is not a template", hint=hint)
        if not archive.is_file():
            raise NotFoundError(
                f"{archive}: no such template", hint="`vztmpl list` shows those here"
            )
        return cls.of(archive.parent, archive.name.removesuffix(ARCHIVE_SUFFIX))

    @property
    def all(self) -> tuple[Path, Path, Path]:
        """The three that no template lacks, in the order in which they are put in place."""
        return self.archive, self.signature, self.manifest

    @property
    def extras(self) -> tuple[Path, ...]:
        """Those that a template may lack; its manifest names them in ``files``."""
        return self.sbom, self.provenance, self.lock

    def named_by(self, manifest: Manifest) -> tuple[Path, ...]:
        """Return those of ``extras`` that belong to one build."""
        return tuple(file for file in self.extras if file.name in manifest.files)
