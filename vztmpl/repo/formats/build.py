"""A published build as the formats see it: its names in other systems' words, its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from vztmpl.repo.formats.forms import Form
from vztmpl.template.manifest import Manifest
from vztmpl.template.name import TemplateName

INCUS_META = "incus.tar.xz"


class _Arch(NamedTuple):
    debian: str
    """As dpkg, LXC's images, simplestreams and Proxmox say."""
    kernel: str
    """As uname(1), LXC's lxc.arch and Incus' metadata say."""
    go: str
    """As OCI says: GOARCH."""


_ARCHES = {
    "x86_64": _Arch("amd64", "x86_64", "amd64"),
    "x86": _Arch("i386", "i686", "386"),
    "aarch64": _Arch("arm64", "aarch64", "arm64"),
    "armv7": _Arch("armhf", "armv7l", "arm"),
    "ppc64le": _Arch("ppc64el", "ppc64le", "ppc64le"),
    "riscv64": _Arch("riscv64", "riscv64", "riscv64"),
    "s390x": _Arch("s390x", "s390x", "s390x"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Size in bytes and digests in hex of a file in the repository."""

    size_bytes: int
    sha256: str
    sha512: str
    combined_sha256: str = ""
    """Of Incus' metadata followed by this file: what Incus knows the image by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of one template; all paths are relative to the repository."""

    manifest: Manifest
    name: TemplateName
    folder: str
    """Where its own files are."""
    newest: bool
    """Whether no later build of the template is published."""
    facts: Mapping[str, Facts] = field(default_factory=dict)
    """Of its files, by path."""

    @property
    def serial(self) -> str:
        """When it was built, as ``20261123T0624Z``."""
        return self.manifest.serial

    @property
    def built(self) -> datetime:
        """When it was built."""
        return datetime.strptime(self.serial, "%Y%m%dT%H%MZ").replace(tzinfo=UTC)

    @property
    def variant(self) -> str:
        """What LXC and Incus call the set."""
        return self.name.set or "default"

    @property
    def title(self) -> str:
        """One line for people; other systems' lists know no more of it."""
        line = " ".join((self.manifest.description or str(self.name)).split())
        return "".join(letter for letter in line if letter.isprintable())

    @property
    def arch(self) -> _Arch:
        """The architecture's names elsewhere."""
        return _ARCHES[self.name.arch]

    @property
    def archive(self) -> str:
        """The tar.zst."""
        return self.own(".tar.zst")

    @property
    def images(self) -> str:
        """The folder of its other forms."""
        return f"images/{self.name}/{self.serial}"

    def own(self, suffix: str) -> str:
        """Name one of its own files: ``NAME`` and a suffix."""
        return f"{self.folder}/{self.name}{suffix}"

    def image(self, file: Form | str) -> str:
        """Name one of its other forms or of the files about them."""
        return f"{self.images}/{file}"
