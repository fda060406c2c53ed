"""The bill of materials, judged by CycloneDX's own schema."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from vztmpl.build.sbom import Packages, sbom
from vztmpl.template.name import TemplateName

DEBIAN = TemplateName.parse("debian-12-x86_64-minimal")
PACKAGES = {"dash:amd64": "0.5.12-2", "libc6:amd64": "2.36-9+deb12u13", "tzdata:all": "2026f-0"}


def made(name: TemplateName = DEBIAN, kind: str = "deb", **packages: str) -> bytes:
    found = Packages(versions=packages or PACKAGES, kind=kind, upstreams={"libc6": "glibc"})
    return sbom(name, "a" * 64, 1_700_000_000, found)


def test_the_document_obeys_the_schema() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made().decode()) is None


@pytest.mark.parametrize(
    ("name", "kind", "package", "version", "purl"),
    [
        ("debian-12-x86_64", "deb", "libc6:amd64", "1:2+b1",
         "pkg:deb/debian/libc6@1:2%2Bb1?arch=amd64&distro=debian-12&upstream=glibc"),
        ("archlinux-rolling-x86_64", "alpm", "pacman", "6.0.2-1",
         "pkg:alpm/arch/pacman@6.0.2-1?distro=archlinux-rolling"),
        ("opensuse-leap-15.6-x86_64", "rpm", "python3.11.x86_64", "32:9.1-2",
         "pkg:rpm/opensuse/python3.11@9.1-2?arch=x86_64&distro=opensuse-leap-15.6&epoch=32"),
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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with little more than a shell and cat."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "proc").mkdir()
    for name in ("sh", "cat"):
        script = f'cp -L $(command -v {name}) "$1/bin"; ldd $(command -v {name}) | grep -o "/[^ ]*"'
        run = subprocess.run(
            ["sh", "-c", script, "sh", tmp_path], stdout=subprocess.PIPE, text=True, check=True
        )
        subprocess.run(["cp", "-L", "--parents", *run.stdout.split(), tmp_path], check=False)
    return tmp_path


def put(tree: Path, path: str, text: str, mode: int = 0o644) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text(text)
    (tree / path).chmod(mode)


@pytest.mark.root
def test_the_tree_tells_the_kind_of_packages_and_their_sources(tree: Path) -> None:
    put(
        tree,
        "var/lib/dpkg/status",
        """\
Package: libssl3
Architecture: amd64
Source: openssl

Package: dash
Version: 1

Package: login
Source: shadow (1:4.13+dfsg1-1)
""",
    )
    found = Packages.of(tree, {"dash:amd64": "1"})
    assert (found.kind, found.versions) == ("deb", {"dash:amd64": "1"})
    assert found.upstreams == {"libssl3": "openssl", "login": "shadow@1:4.13+dfsg1-1"}


@pytest.mark.root
def test_apk_and_rpm_tell_their_sources_too(tree: Path) -> None:
    assert Packages.of(tree, {}) == Packages(versions={}, kind="generic", upstreams={})
    put(tree, "lib/apk/db/installed", "P:ssl_client\nV:1\no:busybox\n\nP:musl\no:musl\n")
    assert Packages.of(tree, {}).upstreams == {"ssl_client": "busybox"}
    (tree / "lib/apk/db/installed").unlink()
    put(tree, "usr/lib/sysimage/rpm/rpmdb.sqlite", "")
    put(
        tree,
        "bin/rpm",
        "#!/bin/sh\necho bash-x bash-5-1.src.rpm; echo gpg-pubkey '(none)'\n",
        0o755,
    )
    found = Packages.of(tree, {})
    assert (found.kind, found.upstreams) == ("rpm", {"bash-x": "bash-5-1.src.rpm"})


def test_pacman_is_known_by_its_database(tmp_path: Path) -> None:
    (tmp_path / "var/lib/pacman/local").mkdir(parents=True)
    assert Packages.of(tmp_path, {}).kind == "alpm"
