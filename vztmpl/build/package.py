"""What a bootstrapper is going to install: packages by version and sha256, before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package of a distribution; a field is empty when it is not known."""

    name: str
    version: str = ""
    arch: str = ""
    sha256: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """All that a build takes from a distribution."""

    layers: tuple[tuple[Package, ...], ...]
    """Packages by the step that installs them."""
    epoch: int
    """The date of the newest input, in seconds since 1970."""
    sources: tuple[str, ...] = ()
    """What the template's own package manager will install from, in its words."""

    @property
    def packages(self) -> tuple[Package, ...]:
        """All packages, in the order in which they are installed."""
        return tuple(package for layer in self.layers for package in layer)


def identities(packages: Sequence[Package]) -> list[list[str]]:
    """Return what tells packages apart, whichever mirror they come from."""
    return [[package.name, package.version, package.arch, package.sha256] for package in packages]
