import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.build import debian_archive, repositories
from tests.build.bench import Publisher
from tests.build.debian import Archive, add_base, point_apt_there
from tests.build.repositories import Signing
from tests.fakes import FakeServer, Signer, web_server


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    place = tmp_path_factory.mktemp("published")
    signing = Signing.new(place / "gpg", "Tiny Archive <tiny@example.org>")
    stranger = Signing.new(place / "other", "Stranger <s@example.org>")
    makers = {
        "debian": debian_archive.debian,
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


@pytest.fixture(scope="session")
def seed(publisher: Signer, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive to copy: a base, and a few packages."""
    archive = Archive(tmp_path_factory.mktemp("archive"), publisher, FakeServer(""))
    add_base(archive)
    archive.add("one", depends="two", postinst="echo one >> /var/lib/made; mkdir -p /var/lib/one")
    archive.add("two", postinst="echo two >> /var/lib/made")
    archive.add("three", postinst="ls /usr/share >> /var/lib/made")
    archive.publish()
    return archive


@pytest.fixture
def mirror(
    seed: Archive, publisher: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Archive]:
    """A copy of it that this host's apt has as its own archive."""
    shutil.copytree(seed.folder, tmp_path / "archive")
    with web_server(tmp_path / "archive") as server:
        archive = Archive(tmp_path / "archive", publisher, server, stanzas={**seed.stanzas})
        point_apt_there(monkeypatch, tmp_path, archive, publisher.public_key)
        yield archive
