"""Tarballs that are fetched, from a web server that errs."""

import hashlib
from pathlib import Path

import pytest

from tests.fakes import Fault, answers, dies_halfway, says_nothing, web_server
from vztmpl.build.download import fetch
from vztmpl.build.parts import Source
from vztmpl.errors import NetworkError, NotFoundError, VerificationError
from vztmpl.progress import Silent

CONTENT = b"a root file system\n" * 1000


def source(url: str, content: bytes = CONTENT) -> Source:
    return Source(url=url, sha256=hashlib.sha256(content).hexdigest())


def test_a_file_comes_from_the_web_or_from_here(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/root.tar").write_bytes(CONTENT)
    with web_server(tmp_path / "www") as server:
        file = fetch(source(f"{server.url}/root.tar"), tmp_path, Silent())
    assert file.read_bytes() == CONTENT
    here = tmp_path / "www/root.tar"
    assert fetch(source(str(here)), tmp_path, Silent()) == here
    assert fetch(source(f"file://{here}"), tmp_path, Silent()) == here


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(CONTENT)
    with pytest.raises(VerificationError, match="its sha256 is"):
        fetch(source(str(tmp_path / "root.tar"), b"other"), tmp_path, Silent())


def test_a_file_that_is_not_here_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no .*/none\.tar"):
        fetch(source(str(tmp_path / "none.tar")), tmp_path, Silent())


@pytest.mark.parametrize("fault", [answers(503), answers(404), dies_halfway, says_nothing])
def test_a_server_that_errs_may_be_asked_again(tmp_path: Path, fault: Fault) -> None:
    (tmp_path / "root.tar").write_bytes(CONTENT)
    with web_server(tmp_path) as server:
        server.faults["/root.tar"] = fault
        with pytest.raises(NetworkError, match=f"{server.url}/root.tar: "):
            fetch(source(f"{server.url}/root.tar"), tmp_path, Silent())
