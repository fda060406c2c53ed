"""What a recipe is made of, once it is read: plain data, complete and validated."""

from dataclasses import dataclass, field
from enum import StrEnum

from vztmpl.build.rules import Waiver
from vztmpl.errors import ConfigError

ARMOUR = "-----BEGIN PGP PUBLIC KEY BLOCK-----"


class Stage(StrEnum):
    """When a script runs inside the tree."""

    BOOTSTRAP = "bootstrap"
    PACKAGES = "packages"
    FINAL = "final"


class Checked(StrEnum):
    """What of a repository has to bear a signature by its key."""

    METADATA = "metadata"
    PACKAGES = "packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The OpenPGP public keys that something from outside has to be signed with."""

    content: str
    """What its files hold, armoured or binary (surrogateescape); empty when none is there."""
    path: str = ""
    """Where the first was found, or the last looked for; empty for an inline key."""
    cure: str = ""
    """Where the recipe says that the key can be had."""

    @property
    def suffix(self) -> str:
        """Return what apt wants the name of the key's file to end with."""
        return ".asc" if ARMOUR in self.content else ".gpg"

    def require(self, where: object) -> None:
        """Refuse a key that is not there."""
        if not self.content:
            hint = f"put the key there: {self.cure}" if self.cure else "put the key there"
            raise ConfigError(where, "key", f"there is no {self.path}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A package repository of the distribution's kind."""

    name: str
    url: str
    suites: tuple[str, ...]
    """Only Debian's kind has suites and components."""
    components: tuple[str, ...]
    key: Key | None
    """None: the package manager of this host knows the key already; only apt can say so."""
    checked: tuple[Checked, ...]
    extra: bool
    """Used beside the archive that the bootstrapper takes by itself, not instead of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file system that is imported: a tarball, or an image of a registry or layout."""

    url: str
    """A path, an http(s) URL, or what skopeo reads (``docker://…``, ``oci:path:tag``)."""
    sha256: str = ""
    signature: str = ""
    """Path or URL of a detached signature by ``key``."""
    key: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """A file that the recipe puts into the tree."""

    path: str
    content: str
    """Bytes as text (surrogateescape)."""
    mode: int
    owner: str = ""
    """``user`` or ``user:group`` of the tree's; empty for root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account that the recipe makes, without a password."""

    name: str
    uid: int | None
    groups: tuple[str, ...]
    shell: str
    sudo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A shell script that runs inside the tree."""

    stage: Stage
    text: str
    timeout_seconds: int = 600
    network: bool = False


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a recipe file and the pieces it includes add up to, for one cell of the matrix."""

    repositories: list[Repository] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    base: list[str] = field(default_factory=list)
    """Those of them that have to be there before scripts can run."""
    remove: list[str] = field(default_factory=list)
    """Packages that come with others and are not wanted."""
    files: list[TreeFile] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)
    mask: list[str] = field(default_factory=list)
    """Units of systemd that must not start."""
    enable: list[str] = field(default_factory=list)
    disable: list[str] = field(default_factory=list)
    locale: str = ""
    timezone: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    waivers: list[Waiver] = field(default_factory=list)
    """What lint is to let pass."""


def as_text(data: bytes) -> str:
    """Return bytes as text that JSON can hold and ``as_bytes`` turns back."""
    return data.decode(errors="surrogateescape")


def as_bytes(text: str) -> bytes:
    """Return the bytes that a text of ``as_text`` stands for."""
    return text.encode(errors="surrogateescape")
