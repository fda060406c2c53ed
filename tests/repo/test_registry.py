"""A registry as a remote and as a mirror; Debian's docker-registry is the one."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fakes
from tests.fakes import NAME, NEW, OLD, FakeServer, Signer, make_template, web_server
from vztmpl.cli.vztmpl import main
from vztmpl.repo.publish import publish

_CONFIG = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry; yield its host and port."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder / "data", port=port))
    words = ["docker-registry", "serve", str(folder / "config.yml")]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/v2/")
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_for(url: str) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def put(folder: Path, signer: Signer, serial: str) -> None:
    built = folder / serial
    built.mkdir()
    archive = make_template(built, signer, serial=serial, content=serial).archive
    publish(folder / "www", [archive], signer.keyring, signer.fingerprint)


@pytest.fixture
def node(tmp_path: Path, publisher: Signer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    put(tmp_path, publisher, OLD)
    return tmp_path


def add(node: Path, url: str, *mirrors: str) -> None:
    key = node / "www/key.asc"
    more = [word for mirror in mirrors for word in ("--mirror", mirror)]
    assert main(["remote", "add", "main", url, "--key", str(key), *more]) == 0


def test_what_is_pushed_can_be_fetched(
    node: Path, registry: str, publisher: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"oci://{registry}/templates/first"
    add(node, url)
    assert main(["update"]) == 3
    assert main(["repo", "push", str(node / "www"), url]) == 0
    assert main(["fetch", NAME]) == 0
    put(node, publisher, NEW)
    assert main(["repo", "push", str(node / "www"), url]) == 0
    capsys.readouterr()
    assert main(["update", "--fetch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fetched"] == [{"name": NAME, "serial": NEW}]
    assert main(["verify", NAME, "--deep"]) == 0
    assert main(["update"]) == 0


def test_a_registry_is_a_mirror_like_any_other(node: Path, registry: str) -> None:
    url = f"oci://{registry}/templates/second"
    assert main(["repo", "push", str(node / "www"), f"{url}/"]) == 0
    with web_server(node / "www") as server:
        add(node, server.url, url)
        server.faults[".tar.zst"] = fakes.dies_halfway
        assert main(["fetch", NAME]) == 0
    assert main(["verify", NAME, "--deep"]) == 0


def test_a_registry_is_not_believed(node: Path, registry: str, stranger: Signer) -> None:
    """What a stranger pushes, with an index of his own, is refused."""
    url = f"oci://{registry}/templates/third"
    add(node, url)
    (node / "evil").mkdir()
    put(node / "evil", stranger, NEW)
    assert main(["repo", "push", str(node / "evil/www"), url]) == 0
    assert main(["fetch", NAME]) == 6


@pytest.fixture
def false_registry(tmp_path: Path) -> Iterator[FakeServer]:
    (tmp_path / "empty").mkdir()
    with web_server(tmp_path / "empty") as server:
        yield server


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (fakes.sends(b"[]"), 6),
        (fakes.sends(b'{"layers": [{}]}'), 6),
        (fakes.endless, 6),
        (fakes.answers(500), 5),
        (fakes.answers(401), 5),
        (fakes.answers(404), 3),
    ],
)
def test_what_is_no_registry_is_told_as_such(
    node: Path, false_registry: FakeServer, fault: fakes.Fault, status: int
) -> None:
    add(node, f"oci://{false_registry.url.removeprefix('http://')}/x")
    false_registry.faults["manifests/index"] = fault
    assert main(["update"]) == status


def test_a_token_is_got_where_the_registry_wants_one(
    node: Path, false_registry: FakeServer
) -> None:
    challenge = f'Bearer realm="{false_registry.url}/token",service="x",scope="y"'
    tokens: list[str | None] = []

    def answer(handler: fakes._Handler) -> None:
        tokens.append(handler.headers.get("Authorization"))
        handler.begin(401, WWW_Authenticate=challenge, Content_Length=0)

    false_registry.faults["manifests/index"] = answer
    false_registry.faults["repository%3Ax%3Apull"] = fakes.sends(b'{"token": "abc"}')
    add(node, f"oci://{false_registry.url.removeprefix('http://')}/x")
    assert main(["update"]) == 5
    assert tokens == [None, "Bearer abc"]
    false_registry.faults["repository%3Ax%3Apull"] = fakes.sends(b"[1]")
    assert main(["update"]) == 5


def test_a_token_is_not_asked_of_anybody(node: Path, false_registry: FakeServer) -> None:
    challenge = 'Bearer realm="http://169.254.169.254/token",service="x"'
    false_registry.faults["manifests/index"] = lambda handler: handler.begin(
        401, WWW_Authenticate=challenge, Content_Length=0
    )
    add(node, f"oci://{false_registry.url.removeprefix('http://')}/x")
    assert main(["update"]) == 5
