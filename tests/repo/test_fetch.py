"""One contract for every kind of source, and what only web servers can do wrong."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fakes
from tests.fakes import FakeServer, Fault, web_server
from vztmpl.errors import NetworkError, NotFoundError, VerificationError
from vztmpl.repo.fetch import opened

CONTENT = bytes(range(256)) * 4096
NAME = "some folder/100%41 ä?#.bin"
QUOTED = "some%20folder/100%2541%20%C3%A4%3F%23.bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "some folder").mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[FakeServer]:
    with web_server(folder) as server:
        yield server


@pytest.fixture(params=["file", "http"])
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "file":
        return f"file://{folder}/"
    server: FakeServer = request.getfixturevalue("server")
    return server.url


def read(url: str, limit: int = 2 * len(CONTENT)) -> bytes:
    with opened(url) as source:
        return source.read(NAME, limit)


def download(url: str, size: int = len(CONTENT), start: int = 0, version: str = "") -> bytes:
    with opened(url) as source:
        answer = source.stream(NAME, size, start, version)
        return CONTENT[: answer.start] + b"".join(answer.chunks)


def test_a_small_file_is_read(url: str) -> None:
    assert read(url) == CONTENT
    assert read(url, len(CONTENT)) == CONTENT


def test_a_big_file_is_downloaded(url: str) -> None:
    assert download(url) == CONTENT


def test_a_missing_file_is_not_found(url: str) -> None:
    with opened(url) as source, pytest.raises(NotFoundError, match="there is no such file"):
        source.read("none", 10)
    with opened(url) as source, pytest.raises(NotFoundError):
        source.read(f"{NAME}/deeper", 10)


def test_a_file_over_the_limit_is_refused(url: str) -> None:
    with pytest.raises(VerificationError, match=f"larger than {len(CONTENT) - 1} bytes"):
        read(url, len(CONTENT) - 1)
    with pytest.raises(VerificationError, match="larger"):
        download(url, len(CONTENT) - 1)


def test_a_file_that_is_too_short_may_be_tried_again(url: str) -> None:
    with pytest.raises(NetworkError, match="ended 1 bytes too early"):
        download(url, len(CONTENT) + 1)


def test_the_rest_of_a_file_is_read_if_it_is_the_same_version(url: str) -> None:
    with opened(url) as source:
        answer = source.stream(NAME, len(CONTENT))
        answer.chunks.close()
        for version in (answer.version, ""):
            rest = source.stream(NAME, len(CONTENT), 1000, version)
            assert rest.start == 1000
            assert b"".join(rest.chunks) == CONTENT[1000:]
        whole = source.stream(NAME, len(CONTENT), 1000, '"another"')
        assert whole.start == 0
        assert b"".join(whole.chunks) == CONTENT


def test_a_version_that_is_known_is_not_sent_again(url: str, folder: Path) -> None:
    with opened(url) as source:
        content, version = source.read_changed(NAME, len(CONTENT), "")
        assert content == CONTENT
        assert source.read_changed(NAME, len(CONTENT), version) == (None, version)
        (folder / NAME).write_bytes(b"new")
        assert source.read_changed(NAME, len(CONTENT), version)[0] == b"new"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (fakes.answers(404), NotFoundError),
        (fakes.answers(410), NotFoundError),
        (fakes.answers(403), NetworkError),
        (fakes.answers(500), NetworkError),
        (fakes.answers(503), NetworkError),
        (fakes.answers(304), NetworkError),
        (fakes.answers(206), NetworkError),
        (fakes.answers(204), NetworkError),
        (fakes.endless, VerificationError),
        (fakes.promises_more, NetworkError),
        (fakes.promises_less, NetworkError),
        (fakes.dies_halfway, NetworkError),
        (fakes.says_nothing, NetworkError),
        (fakes.sends_garbage, NetworkError),
        (fakes.leads_to("http://[bad"), NetworkError),
        (fakes.leads_to("http://127.0.0.1:1/"), NetworkError),
    ],
)
def test_a_server_that_errs_is_one_of_our_errors(
    server: FakeServer, fault: Fault, error: type[Exception]
) -> None:
    server.faults[".bin"] = fault
    with pytest.raises(error) as caught:
        download(server.url)
    assert server.url in str(caught.value)
    if fault is not fakes.promises_less:  # only who knows the size can notice
        with pytest.raises(error):
            read(server.url)


def test_endless_data_is_left_at_the_limit(server: FakeServer) -> None:
    server.faults[".bin"] = fakes.endless
    with pytest.raises(VerificationError, match="larger than 1000 bytes"):
        read(server.url, 1000)


def test_a_redirect_within_the_scheme_is_followed(server: FakeServer) -> None:
    server.faults["/moved"] = fakes.leads_to(f"/{QUOTED}")
    with opened(server.url) as source:
        assert source.read("moved", len(CONTENT)) == CONTENT


@pytest.mark.parametrize("target", ["https://127.0.0.1:1/x", "file:///etc/passwd"])
def test_a_redirect_to_another_scheme_is_not_followed(server: FakeServer, target: str) -> None:
    server.faults[".bin"] = fakes.leads_to(target)
    with pytest.raises(NetworkError, match=f"leads to another scheme: {target}"):
        read(server.url)


def test_redirects_come_to_an_end(server: FakeServer) -> None:
    server.faults[".bin"] = fakes.leads_to(f"/{QUOTED}")
    with pytest.raises(NetworkError, match="leads on more than 5 times"):
        read(server.url)
    assert len(server.asked) == 6


def test_no_answer_is_ever_unpacked(server: FakeServer) -> None:
    import gzip

    packed = gzip.compress(b"a" * 1_000_000)

    def answer(handler: fakes._Handler) -> None:
        assert handler.headers["Accept-Encoding"] == "identity"
        handler.begin(200, Content_Length=len(packed), Content_Encoding="gzip").write(packed)

    server.faults[".bin"] = answer
    assert read(server.url) == packed


def test_a_proxy_is_asked_where_there_is_one(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.faults[".bin"] = fakes.sends(b"by proxy")
    with opened("http://templates.invalid") as source:
        assert source.read("x.bin", 100) == b"by proxy"
    assert server.asked == ["http://templates.invalid/x.bin"]


def test_a_server_that_is_not_there_is_a_network_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1.*: Connection refused") as caught:
        read(f"http://127.0.0.1:{port}")
    assert caught.value.hint


def test_a_name_that_does_not_resolve_is_a_network_error() -> None:
    with pytest.raises(NetworkError, match=r"no-such-host\.invalid"):
        read("http://no-such-host.invalid")


def test_a_file_that_can_not_be_read_is_a_network_error(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    for name, reason in (("loop", "symbolic links"), ("some folder", "Is a directory")):
        with opened(f"file://{folder}") as source, pytest.raises(NetworkError, match=reason):
            source.read(name, 10)


def test_a_path_that_no_file_can_have_is_not_found() -> None:
    with pytest.raises(NotFoundError), opened("file:///a%00b") as source:
        source.read("x", 1)
