"""LXD: its client needs no daemon to read a simplestreams server; its daemon runs what it reads.

Incus reads the same by the same code.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.clients.conftest import (
    NAME,
    NEW,
    OLD,
    Published,
    capabilities,
    clean_after_lxc,
    facts,
    privately,
    run,
)
from tests.fakes import alters

pytestmark = pytest.mark.root


@dataclass(frozen=True)
class Client:
    env: dict[str, str]

    def __call__(self, *words: object, check: bool = True) -> str:
        return run("lxc", *words, env=self.env, check=check)

    def images(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self("image", "list", "r:", "--format=json"))
        return found


@pytest.fixture
def lxc(published: Published, tmp_path: Path) -> Client:
    env = {"LXD_CONF": str(tmp_path), "SSL_CERT_FILE": f"{published.certificate}.crt"}
    client = Client(env)
    client("remote", "add", "r", published.https.url, "--protocol=simplestreams")
    return client


def test_every_build_is_listed_as_tarball_and_as_squashfs(lxc: Client) -> None:
    found = {(image["properties"]["serial"], image["properties"]["type"]) for image in lxc.images()}
    assert found == {
        (serial, kind) for serial in (OLD, NEW) for kind in ("squashfs", "root.tar.xz")
    }
    (newest,) = [image for image in lxc.images() if image["aliases"]]
    aliases = {alias["name"] for alias in newest["aliases"]}
    assert {"busybox/1", "busybox/1/default", NAME} <= aliases
    assert newest["properties"]["serial"] == NEW
    assert newest["architecture"] == "x86_64"


@pytest.mark.parametrize("kind", ["squashfs", "root.tar.xz"])
def test_an_image_is_what_its_fingerprint_says_and_holds_the_whole_system(
    published: Published, lxc: Client, tmp_path: Path, kind: str
) -> None:
    (fingerprint,) = [
        image["fingerprint"]
        for image in lxc.images()
        if (image["properties"]["serial"], image["properties"]["type"]) == (NEW, kind)
    ]
    lxc("image", "export", f"r:{fingerprint}", tmp_path)
    tree = tmp_path / "tree"
    if kind == "squashfs":
        run("unsquashfs", "-no-progress", "-dest", tree, tmp_path / "rootfs.squashfs")
    else:
        tree.mkdir()
        options = ("--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*")
        run("tar", *options, f"--directory={tree}", f"--file={tmp_path}/rootfs.tar.xz")
    assert facts(tree) == published.system
    assert capabilities(tree)


def test_an_altered_image_is_refused(published: Published, lxc: Client, tmp_path: Path) -> None:
    published.https.faults["rootfs.squashfs"] = alters
    try:
        said = lxc("image", "export", f"r:{NAME}", tmp_path, check=False)
    finally:
        published.https.faults.clear()
    assert "Error: " in said
    assert " != " in said
    assert not (tmp_path / "rootfs.squashfs").exists()


@pytest.fixture
def daemon(published: Published, tmp_path: Path) -> Iterator[Client]:
    """A daemon of the test's own, which finds no name server."""
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (tmp_path / "client").mkdir()
    with TemporaryDirectory(prefix="vz-") as folder:  # its sockets want a short path
        env = {
            "LXD_DIR": folder,
            "LXD_CONF": str(tmp_path / "client"),
            "SSL_CERT_FILE": f"{published.certificate}.crt",
            "PATH": os.environ["PATH"],
        }
        alone = f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && exec "$@"'
        words = privately("sh", "-c", alone, "sh", "lxd", "--group=root")
        with subprocess.Popen([str(word) for word in words], env=env) as server:
            run("lxd", "waitready", "--timeout=60", env=env)
            yield Client(env)
            run("lxd", "shutdown", "--timeout=30", env=env)
            server.wait(timeout=60)
        clean_after_lxc(Path(folder))


def test_a_container_is_made_of_an_image_and_knows_its_name(
    published: Published, daemon: Client
) -> None:
    name = f"vz-{os.getpid()}"
    daemon("storage", "create", "pool", "dir")
    daemon("remote", "add", "r", published.https.url, "--protocol=simplestreams")
    daemon("init", "r:busybox/1", name, "--storage=pool", "--no-profiles")
    try:
        daemon("start", name)
        inside = daemon("exec", name, "--", "/bin/cat", "/etc/serial", "/etc/hostname")
        assert inside == f"{NEW}\n{name}\n"
        unprivileged = daemon("exec", name, "--", "/bin/cat", "/proc/self/uid_map")
        assert unprivileged.split()[:2] != ["0", "0"]
    finally:
        daemon("delete", "--force", name)
