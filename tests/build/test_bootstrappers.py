"""One contract for all bootstrappers: real programs on small signed repositories of our own."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.build import repositories
from tests.build.repositories import BUILT, VERSION, Signing
from tests.fakes import FakeServer, alters, names_in, web_server
from vztmpl.build import recipe
from vztmpl.build.builder import Bootstrapper, bootstrapper_of
from vztmpl.build.recipe import Recipe
from vztmpl.errors import ConfigError, VztmplError
from vztmpl.progress import Silent

pytestmark = pytest.mark.root

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


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    place = tmp_path_factory.mktemp("published")
    signing = Signing.new(place / "gpg", "Tiny Archive <tiny@example.org>")
    stranger = Signing.new(place / "other", "Stranger <s@example.org>")
    makers = {
        "debian": repositories.debian,
        "arch": repositories.arch,
        "rpms": repositories.rpms,
        "rootfs": repositories.rootfs,
    }
    for name, make in makers.items():
        (place / f"work-{name}").mkdir()
        make(place / "www" / name, signing, place / f"work-{name}")
    for who, file in ((signing, "key.asc"), (stranger, "other.asc")):
        (place / file).write_text(who.public_key)
        who.end()
    with web_server(place / "www") as server:
        yield Publisher(server, place / "key.asc", place / "other.asc")


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

    def recipe(self, more: str = "", *, key: Path | None = None) -> Recipe:
        kind = self.kind
        url = f"{self.published.server.url}/{kind.folder}"
        text = HEAD.format(bootstrapper=self.name, arch=kind.arch, url=url)
        text += kind.origin.replace("{key}", str(key or self.published.key))
        (self.place / "tiny.toml").write_text(text + PACKAGES.format(base=kind.base) + more)
        return recipe.resolve(self.place, "tiny-1-x86_64-minimal")

    def fill(self, wanted: Recipe) -> Bootstrapper:
        bootstrapper = bootstrapper_of(wanted)
        bootstrapper.check(wanted)
        bootstrapper.bootstrap(wanted, self.tree, Silent())
        return bootstrapper

    def refused(self, wanted: Recipe) -> str:
        """Fill a tree, which has to fail; return all that is said of it."""
        before = {entry for entry in Path("/root").glob(".*")}
        with pytest.raises(VztmplError) as caught:
            self.fill(wanted)
        assert names_in(self.tree.parent) == ["tree"]
        assert str(self.place) not in Path("/proc/self/mountinfo").read_text()
        assert not [path for path in Path("/proc").glob("[0-9]*") if self._is_below(path)]
        assert {entry for entry in Path("/root").glob(".*")} == before
        return f"{caught.value}\n{getattr(caught.value, 'tail', '')}"

    def _is_below(self, process: Path) -> bool:
        try:
            return str(self.place) in os.fsdecode((process / "cmdline").read_bytes())
        except OSError:
            return False


@pytest.fixture
def published_now(published: Publisher) -> Iterator[Publisher]:
    published.server.faults.clear()
    yield published
    published.server.faults.clear()


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path, published_now: Publisher) -> Bench:
    (tmp_path / "work/tree").mkdir(parents=True)
    return Bench(request.param, KINDS[request.param], published_now, tmp_path)


def test_it_fills_a_tree_and_says_with_what(bench: Bench) -> None:
    bootstrapper = bench.fill(bench.recipe())
    assert (bench.tree / "usr/share/hello").read_text() == "hello was here\n"
    found = bootstrapper.packages(bench.tree)
    assert found[bench.kind.hello] == VERSION
    assert not [name for name in found if "unwanted" in name]
    assert bootstrapper.epoch(bench.tree) == BUILT
    assert bootstrapper.version()[0].isdigit()
    assert names_in(bench.tree.parent) == ["tree"]


def test_packages_come_in_and_go_out_later(bench: Bench) -> None:
    bootstrapper = bench.fill(bench.recipe())
    changed = bench.recipe('[[packages]]\ninstall = ["unwanted"]\nremove = ["hello"]\n')
    bootstrapper.install(changed, bench.tree, Silent())
    assert names_in(bench.tree / "usr/share").count("hello") == 0
    assert (bench.tree / "usr/share/unwanted").exists()


def test_what_was_altered_on_its_way_is_refused(bench: Bench) -> None:
    bench.published.server.faults[bench.kind.altered] = alters
    said = bench.refused(bench.recipe())
    assert any(word in said.lower() for word in ("signature", "checksum", "hash", "invalid", "gpg"))


def test_what_another_key_signed_is_refused(bench: Bench) -> None:
    said = bench.refused(bench.recipe(key=bench.published.other_key))
    assert any(word in said.lower() for word in ("key", "signature", "unknown"))
    assert not (bench.tree / "usr/share/hello").exists()


def test_a_package_that_is_not_there_is_named(bench: Bench) -> None:
    said = bench.refused(bench.recipe('[[packages]]\ninstall = ["nowhere"]\n'))
    assert "nowhere" in said


def test_a_key_that_is_not_there_stops_it_before_it_begins(bench: Bench) -> None:
    wanted = bench.recipe(key=bench.place / "none.gpg")
    with pytest.raises(ConfigError, match=r"key: there is no .*/none\.gpg") as caught:
        bench.fill(wanted)
    assert "put the key there" in caught.value.hint
    assert names_in(bench.tree) == []
