"""Images imported by the real skopeo and umoci from a layout that the tests make."""

from pathlib import Path

import pytest

from tests.build import repositories
from tests.build.repositories import BUILT
from tests.fakes import names_in
from vztmpl.build import recipe
from vztmpl.build.oci import Oci, copy_command, pinned
from vztmpl.build.recipe import Recipe
from vztmpl.errors import CommandError, ConfigError, VerificationError
from vztmpl.progress import Silent

RECIPE = """
os = "tiny"
description = "Tiny"
bootstrapper = "oci"
sets = ["minimal"]
releases = {{ 1 = "one" }}
architectures = {{ x86_64 = "amd64" }}
[[source]]
url = "{url}"
sha256 = "{digest}"
"""


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """Make a layout beside the recipe; return the digest of its image."""
    (tmp_path / "work").mkdir()
    return repositories.oci(tmp_path / "layout", tmp_path / "work")


def wanted(folder: Path, digest: str, url: str = "oci:layout:latest") -> Recipe:
    (folder / "tiny.toml").write_text(RECIPE.format(url=url, digest=digest))
    return recipe.resolve(folder, "tiny-1-x86_64-minimal")


def fill(folder: Path, one: Recipe) -> Path:
    tree = folder / "place/tree"
    tree.mkdir(parents=True)
    Oci().check(one)
    Oci().bootstrap(one, tree, Silent())
    return tree


@pytest.mark.root
def test_layers_lie_over_each_other_and_whiteouts_hide(tmp_path: Path, layout: str) -> None:
    tree = fill(tmp_path, wanted(tmp_path, layout))
    assert (tree / "usr/share/hello").read_text() == "hello was here\n"
    assert names_in(tree / "usr/share") == ["hello"]
    assert names_in(tree / "opt/old") == ["new"]
    assert (tree / "usr/bin/sh").readlink() == Path("busybox")
    assert Oci().epoch(tree) == BUILT
    assert Oci().packages(tree) == {}
    assert names_in(tree.parent) == ["tree"]


@pytest.mark.root
def test_another_image_than_the_pinned_one_is_refused(tmp_path: Path, layout: str) -> None:
    assert layout != "0" * 64
    with pytest.raises(VerificationError, match=f"its digest is {layout}, not the 0000"):
        fill(tmp_path, wanted(tmp_path, "0" * 64))
    assert names_in(tmp_path / "place") == ["tree"]


@pytest.mark.root
def test_an_altered_layer_is_refused(tmp_path: Path, layout: str) -> None:
    blobs = sorted(
        (tmp_path / "layout/blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size
    )
    content = bytearray(blobs[-1].read_bytes())
    content[len(content) // 2] ^= 1
    blobs[-1].write_bytes(content)
    with pytest.raises(CommandError) as caught:
        fill(tmp_path, wanted(tmp_path, layout))
    assert "does not match" in caught.value.tail or "digest" in caught.value.tail.lower()
    assert names_in(tmp_path / "place") == ["tree"]
    assert names_in(tmp_path / "place/tree") == []


@pytest.mark.parametrize("url", ["dir:x", "https://example.org/x", "docker-daemon:x"])
def test_only_registries_and_layouts_are_images(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="source: must be docker://… or oci:path:tag"):
        Oci().check(wanted(tmp_path, "0" * 64, url))


def test_an_image_of_a_registry_is_asked_for_by_its_digest() -> None:
    assert pinned("docker://r.example:5000/a/b:13", "ab") == "docker://r.example:5000/a/b@sha256:ab"
    assert pinned("docker://r.example:5000/a/b", "ab") == "docker://r.example:5000/a/b@sha256:ab"
    assert pinned("oci:/l:13", "ab") == "oci:/l:13"
    assert copy_command("docker://r/a@sha256:ab", "/l", "arm64")[2:] == [
        "--insecure-policy",
        "--quiet",
        "--override-arch=arm64",
        "--override-os=linux",
        "docker://r/a@sha256:ab",
        "oci:/l:image",
    ]
