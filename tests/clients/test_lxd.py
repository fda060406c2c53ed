"""LXD's client, which needs no daemon to read a simplestreams server; Incus' reads the same."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published, capabilities, facts, run
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
