import json
from dataclasses import replace
from pathlib import Path

import pytest

from vztmpl.errors import NotFoundError, VerificationError
from vztmpl.template.manifest import Manifest, TemplateFiles

MANIFEST = Manifest(
    name="debian-13-x86_64",
    serial="20261123T0624Z",
    digest="a" * 64,
    sha256="b" * 64,
    size_bytes=10,
    unpacked_bytes=20,
    epoch=1,
    packages={"dash:amd64": "0.5"},
)


def with_value(key: str, value: object) -> bytes:
    return json.dumps({**json.loads(MANIFEST.to_json()), key: value}).encode()


def test_a_manifest_survives_writing_and_reading() -> None:
    assert Manifest.parse(MANIFEST.to_json(), "x") == MANIFEST


def test_the_signed_bytes_do_not_depend_on_the_order_of_packages() -> None:
    one = replace(MANIFEST, packages={"a": "1", "b": "2"})
    other = replace(MANIFEST, packages={"b": "2", "a": "1"})
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe", b"[]", b"null", b"{}", b"{" * 100_000, b"[" * 100_000,
        with_value("format", 2), with_value("format", "1"),
        with_value("name", "../../etc/passwd"), with_value("name", "debian"),
        with_value("serial", "../20261123T0624Z"), with_value("serial", "2026"),
        with_value("digest", "A" * 64), with_value("digest", "a" * 63),
        with_value("sha256", "/etc/shadow"), with_value("size_bytes", -1),
        with_value("size_bytes", 1.5), with_value("unpacked_bytes", True),
        with_value("packages", []), with_value("lint", []), with_value("files", []),
        with_value("files", {"debian-13-x86_64.cdx.json": "short"}),
        with_value("files", {"debian-13-x86_64.cdx.json": 1}),
        with_value("files", {"debian-13-x86_64./../../x": "a" * 64}),
        with_value("files", {"other.cdx.json": "a" * 64}),
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        Manifest.parse(data, "x")


def test_the_three_files_are_found_beside_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "debian-13-x86_64.tar.zst"
    archive.touch()
    files = TemplateFiles.beside(archive)
    assert [file.name for file in files.all] == [
        "debian-13-x86_64.tar.zst",
        "debian-13-x86_64.json.asc",
        "debian-13-x86_64.json",
    ]


def test_a_manifest_of_before_there_were_sboms_is_read() -> None:
    old = json.loads(MANIFEST.to_json())
    del old["files"], old["lint"]
    manifest = Manifest.parse(json.dumps(old).encode(), "x")
    assert manifest == MANIFEST
    assert TemplateFiles.of(Path("/x"), manifest.name).named_by(manifest) == ()


def test_only_an_archive_that_is_there_has_files_beside_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such template"):
        TemplateFiles.beside(tmp_path / "debian-13-x86_64.tar.zst")
    (tmp_path / "a.json").touch()
    with pytest.raises(NotFoundError, match="is not a template"):
        TemplateFiles.beside(tmp_path / "a.json")
