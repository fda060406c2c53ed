"""What every kind of bootstrapper is tried with: its repository, and a place to fill one tree."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import FakeServer, names_in
from vztmpl.build import recipe
from vztmpl.build.builder import bootstrapper_of
from vztmpl.build.plan import Plan, plan
from vztmpl.build.recipe import Recipe
from vztmpl.build.steps import carry_out
from vztmpl.errors import VztmplError
from vztmpl.progress import Silent

HEAD = """
os = "tiny"
description = "Tiny"
bootstrapper = "{bootstrapper}"
sets = ["minimal"]
releases = {{ 1 = "one" }}
architectures = {{ x86_64 = "{arch}" }}
mirror = "{url}"
"""
PACKAGES = """
[[packages]]
base = true
install = [{base}]
[[packages]]
install = ["hello"]
"""


@dataclass(frozen=True)
class Kind:
    """What differs between the kinds of bootstrappers."""

    arch: str
    folder: str
    """Where its repository is served."""
    origin: str
    """How a recipe names it; ``{key}`` is a path."""
    base: str
    hello: str
    """What the package manager calls it."""
    altered: str
    """The end of the path that is altered on its way."""


REPOSITORY = '[[repositories]]\nname = "one"\nurl = "{mirror}"\nkey = "{key}"\n'
DEB = Kind(
    arch="amd64",
    folder="debian",
    origin=f'{REPOSITORY}components = ["main"]\n',
    base="",
    hello="hello:amd64",
    altered="/hello_1.5-1_amd64.deb",
)
RPM = Kind(
    arch="x86_64",
    folder="rpms",
    origin=REPOSITORY,
    base='"base"',
    hello="hello.x86_64",
    altered="/hello-1.5-1.x86_64.rpm",
)
ARCH = Kind(
    arch="x86_64",
    folder="arch",
    origin=REPOSITORY,
    base='"base"',
    hello="hello",
    altered="/hello-1.5-1-x86_64.pkg.tar.gz",
)
IMAGE = Kind(
    arch="x86_64",
    folder="rootfs",
    origin='[[source]]\nurl = "{mirror}/rootfs.tar.gz"\nsignature = "{url}.asc"\nkey = "{key}"\n',
    base="",
    hello="hello",
    altered="/rootfs.tar.gz",
)
KINDS = {
    "mmdebstrap": DEB,
    "debootstrap": DEB,
    "pacstrap": ARCH,
    "dnf": RPM,
    "zypper": RPM,
    "apk": IMAGE,
    "rootfs": IMAGE,
}


@dataclass(frozen=True)
class Publisher:
    """All repositories on a web server, and the key that signs them."""

    server: FakeServer
    key: Path
    other_key: Path


@dataclass(frozen=True)
class Bench:
    """A place to fill one tree with one kind of bootstrapper."""

    name: str
    kind: Kind
    published: Publisher
    place: Path

    @property
    def tree(self) -> Path:
        return self.place / "work/tree"

    def recipe(self, more: str = "", *, key: Path | None = None, mirror: str = "") -> Recipe:
        kind = self.kind
        url = f"{self.published.server.url}/{kind.folder}"
        text = HEAD.format(bootstrapper=self.name, arch=kind.arch, url=url)
        text += kind.origin.replace("{key}", str(key or self.published.key))
        (self.place / "tiny.toml").write_text(text + PACKAGES.format(base=kind.base) + more)
        return recipe.resolve(self.place, "tiny-1-x86_64-minimal", mirror=mirror)

    def fill(self, wanted: Recipe) -> Plan:
        bootstrapper = bootstrapper_of(wanted, self.place / "kept")
        bootstrapper.check(wanted)
        planned = plan(wanted, bootstrapper, None, None, Silent())
        carry_out(planned.steps, self.tree, None, Silent())
        return planned

    def refused(self, wanted: Recipe, kind: type[VztmplError]) -> VztmplError:
        """Fill a tree, which has to fail and leave nothing behind; return the error."""
        before = {entry for entry in Path("/root").glob(".*")}
        with pytest.raises(kind) as caught:
            self.fill(wanted)
        assert set(names_in(self.tree.parent)) <= {"tree", "base", "added"}
        assert str(self.place) not in Path("/proc/self/mountinfo").read_text()
        assert not [path for path in Path("/proc").glob("[0-9]*") if self._is_below(path)]
        assert {entry for entry in Path("/root").glob(".*")} == before
        return caught.value

    def _is_below(self, process: Path) -> bool:
        try:
            return str(self.place) in os.fsdecode((process / "cmdline").read_bytes())
        except OSError:
            return False
