"""The rules of a simplestreams tree as the code of incus and lxd has them; the signed copies."""

import json
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published
from tests.fakes import Signer
from vztmpl.template.signature import verify_clear

pytestmark = pytest.mark.root


def versions(published: Published) -> Iterator[tuple[str, dict[str, Any]]]:
    index = json.loads((published.folder / "streams/v1/index.json").read_text())
    assert index["format"] == "index:1.0"
    (stream,) = index["index"].values()
    assert stream["datatype"] == "image-downloads"
    products = json.loads((published.folder / stream["path"]).read_text())
    assert (products["format"], products["datatype"]) == ("products:1.0", "image-downloads")
    assert sorted(products["products"]) == stream["products"] == ["busybox:1:amd64:default"]
    for product in products["products"].values():
        for serial, version in product["versions"].items():
            yield serial, {item["ftype"]: item for item in version["items"].values()}


def test_every_file_and_every_combination_has_the_digest_that_is_said(published: Published) -> None:
    assert [serial for serial, _ in versions(published)] == [OLD, NEW]
    for _, items in versions(published):
        content = {
            kind: (published.folder / item["path"]).read_bytes() for kind, item in items.items()
        }
        for kind, item in items.items():
            assert item["size"] == len(content[kind])
            assert item["sha256"] == sha256(content[kind]).hexdigest()
        for meta in ("incus.tar.xz", "lxd.tar.xz"):
            said, begun = items[meta], content[meta]
            xz = sha256(begun + content["root.tar.xz"]).hexdigest()
            assert said["combined_rootxz_sha256"] == said["combined_sha256"] == xz
            squashfs = sha256(begun + content["squashfs"]).hexdigest()
            assert said["combined_squashfs_sha256"] == squashfs


def test_the_metadata_says_what_incus_must_know(published: Published) -> None:
    for serial, items in versions(published):
        packed = (published.folder / items["incus.tar.xz"]["path"]).read_bytes()
        with tarfile.open(fileobj=BytesIO(packed), mode="r:xz") as tar:
            assert tar.getnames() == ["metadata.yaml", "templates/hostname.tpl"]
            said = json.load(tar.extractfile("metadata.yaml"))  # type: ignore[arg-type]
        assert said["architecture"] == "x86_64"
        assert said["creation_date"] > 0
        assert said["properties"]["serial"] == serial
        assert said["properties"]["name"] == NAME


def test_the_signed_copies_say_the_same_and_lead_to_one_another(
    published: Published, publisher: Signer
) -> None:
    folder = published.folder / "streams/v1"
    signed = {
        name: verify_clear((folder / f"{name}.sjson").read_bytes(), publisher.public_key, name)[0]
        for name in ("index", "images")
    }
    assert signed["images"] == (folder / "images.json").read_bytes()
    plain = (folder / "index.json").read_bytes()
    assert signed["index"] == plain.replace(b"images.json", b"images.sjson") != plain
