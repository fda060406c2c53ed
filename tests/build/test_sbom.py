"""The bill of materials, judged by CycloneDX's own schema."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from vztmpl.build.sbom import package_type, sbom
from vztmpl.template.name import TemplateName

DEBIAN = TemplateName.parse("debian-12-x86_64-minimal")
PACKAGES = {"dash:amd64": "0.5.12-2", "libc6:amd64": "2.36-9+deb12u13", "tzdata:all": "2026f-0"}


def made(name: TemplateName = DEBIAN, kind: str = "deb", **packages: str) -> bytes:
    return sbom(name, "a" * 64, 1_700_000_000, packages or PACKAGES, kind)


def test_the_document_obeys_the_schema() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made().decode()) is None


@pytest.mark.parametrize(
    ("name", "kind", "package", "version", "purl"),
    [
        ("debian-12-x86_64", "deb", "libc6:amd64", "1:2+b1",
         "pkg:deb/debian/libc6@1:2%2Bb1?arch=amd64&distro=debian-12"),
        ("archlinux-rolling-x86_64", "alpm", "pacman", "6.0.2-1",
         "pkg:alpm/arch/pacman@6.0.2-1?distro=archlinux-rolling"),
        ("opensuse-leap-15.6-x86_64", "rpm", "bind:x86_64", "32:9.1-2",
         "pkg:rpm/opensuse/bind@9.1-2?arch=x86_64&distro=opensuse-leap-15.6&epoch=32"),
        ("alpine-3.22-x86_64", "apk", "musl", "1.2.5-r10",
         "pkg:apk/alpine/musl@1.2.5-r10?distro=alpine-3.22"),
    ],
)  # fmt: skip
def test_each_package_has_its_purl(
    name: str, kind: str, package: str, version: str, purl: str
) -> None:
    document = json.loads(made(TemplateName.parse(name), kind, **{package: version}))
    (found,) = [one for one in document["components"] if one["type"] == "library"]
    assert (found["purl"], found["version"]) == (purl, version)


def test_the_same_build_gives_the_same_bytes_in_any_process() -> None:
    code = "from tests.build.test_sbom import made; print(made().decode(), end='')"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            cwd=Path(__file__).parent.parent.parent,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }  # fmt: skip
    assert runs == {made()}


def test_the_kind_of_packages_is_told_from_the_tree(tmp_path: Path) -> None:
    assert package_type(tmp_path) == "generic"
    (tmp_path / "var/lib/pacman/local").mkdir(parents=True)
    assert package_type(tmp_path) == "alpm"
