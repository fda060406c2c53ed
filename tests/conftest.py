from pathlib import Path

import pytest

from tests.fakes import Signer


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "VZ_SYSROOT",
        "SOURCE_DATE_EPOCH",
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "PYTHONUNBUFFERED",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="session")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.new(tmp_path_factory.mktemp("publisher"), "The Publisher")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.new(tmp_path_factory.mktemp("stranger"), "Some Stranger")


@pytest.fixture
def key_file(tmp_path: Path, publisher: Signer) -> Path:
    path = tmp_path / "pub.asc"
    path.write_bytes(publisher.public_key)
    return path
