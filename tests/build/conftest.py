from collections.abc import Iterator

import pytest

from tests.build import debian_archive, repositories
from tests.build.bench import Publisher
from tests.build.repositories import Signing
from tests.fakes import web_server


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
