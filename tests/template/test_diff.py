import os
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import zstandard

from tests.fakes import EPOCH
from vztmpl.errors import NotFoundError, VerificationError
from vztmpl.template import archive
from vztmpl.template.diff import Change, Difference, PackageChange, Side, diff
from vztmpl.template.manifest import Manifest, TemplateFiles

NAME = "tiny-1-x86_64"


def make(folder: Path, alter: Callable[[Path], object] | None = None, **packages: str) -> Side:
    """Pack a small tree, altered by the test."""
    tree = folder / "tree"
    (tree / "etc/d").mkdir(parents=True)
    (tree / "etc/a").write_text("aaaa")
    (tree / "etc/d/inner").write_text("inner")
    (tree / "etc-b").write_text("sorts before etc/ as text, not by names")
    (tree / "link").symlink_to("etc/a")
    if alter:
        alter(tree)
    for path in (tree, *tree.rglob("*")):
        if path.name != "timed":
            os.utime(path, (EPOCH - 5, EPOCH - 5), follow_symlinks=False)
    files = TemplateFiles.of(folder, NAME)
    with files.archive.open("wb") as file:
        packed = archive.pack(tree, file, EPOCH)
    manifest = Manifest(
        name=NAME,
        serial="20260101T0000Z",
        digest=packed.digest,
        sha256=packed.sha256,
        size_bytes=packed.size_bytes,
        unpacked_bytes=packed.unpacked_bytes,
        epoch=EPOCH,
        packages=packages,
    )
    files.manifest.write_bytes(manifest.to_json())
    return Side.of(files.archive)


def compared(tmp_path: Path, alter: Callable[[Path], object]) -> Difference:
    return diff(make(tmp_path / "old"), make(tmp_path / "new", alter))


def test_two_packs_of_one_tree_are_the_same(tmp_path: Path) -> None:
    told = list[int]()
    old, new = make(tmp_path / "1", a="1"), make(tmp_path / "2", a="1")
    difference = diff(old, new, told.append)
    assert difference.same
    assert (difference.files, difference.packages, difference.only_time) == ((), (), 0)
    assert sum(told) == old.manifest.unpacked_bytes + new.manifest.unpacked_bytes


@pytest.mark.root
@pytest.mark.parametrize(
    ("alter", "path", "aspects"),
    [
        (lambda tree: (tree / "etc/a").write_text("bbbb"), "/etc/a", ("content",)),
        (lambda tree: (tree / "etc/a").write_text("longer"), "/etc/a", ("content",)),
        (lambda tree: (tree / "etc/a").chmod(0o4755), "/etc/a", ("mode",)),
        (lambda tree: (tree / "etc/d").chmod(0o700), "/etc/d", ("mode",)),
        (lambda tree: os.chown(tree / "etc/a", 7, 8), "/etc/a", ("owner",)),
        (lambda tree: os.setxattr(tree / "etc/a", "user.x", b"\0"), "/etc/a", ("xattrs",)),
        (lambda tree: relink(tree / "link", "etc"), "/link", ("target",)),
        (lambda tree: relink(tree / "etc/a", "d"), "/etc/a", ("kind", "target", "mode")),
    ],
)
def test_whatever_changes_in_a_file_is_seen(
    tmp_path: Path, alter: Callable[[Path], object], path: str, aspects: tuple[str, ...]
) -> None:
    difference = compared(tmp_path, alter)
    assert [(change.path, change.aspects) for change in difference.files] == [(path, aspects)]
    assert difference.counts == {Change.ADDED: 0, Change.REMOVED: 0, Change.CHANGED: 1}
    assert not difference.same


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def test_what_comes_and_goes_is_told_in_the_order_of_names(tmp_path: Path) -> None:
    def alter(tree: Path) -> None:
        (tree / "etc/d/inner").unlink()
        (tree / "etc/d").rmdir()
        (tree / "etc.new").mkdir()
        (tree / "zz").write_text("z")

    difference = compared(tmp_path, alter)
    assert [(change.change.value, change.path) for change in difference.files] == [
        ("removed", "/etc/d"), ("removed", "/etc/d/inner"), ("added", "/etc.new"), ("added", "/zz"),
    ]  # fmt: skip
    assert difference.files[3].new
    assert difference.files[3].new.size_bytes == 1


def test_a_file_that_is_only_older_is_counted_apart(tmp_path: Path) -> None:
    def alter(tree: Path) -> None:
        (tree / "timed").touch()
        os.utime(tree / "timed", (EPOCH - 9, EPOCH - 9))

    new = make(tmp_path / "new", alter)
    (tmp_path / "older").mkdir()
    difference = diff(make(tmp_path / "old", lambda tree: (tree / "timed").touch()), new)
    assert (difference.only_time, difference.counts[Change.CHANGED]) == (1, 0)
    assert [change.aspects for change in difference.files] == [("time",)]
    assert not difference.same


def test_packages_come_go_and_change(tmp_path: Path) -> None:
    old, new = make(tmp_path / "1", a="1", b="1", c="1"), make(tmp_path / "2", b="2", c="1", d="1")
    assert diff(old, new).packages == (
        PackageChange(name="a", change=Change.REMOVED, old="1"),
        PackageChange(name="b", change=Change.CHANGED, old="1", new="2"),
        PackageChange(name="d", change=Change.ADDED, new="1"),
    )


def test_an_archive_in_another_order_is_refused(tmp_path: Path) -> None:
    good, bad = make(tmp_path / "good"), make(tmp_path / "bad")
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in ("b", "a"):
            tar.addfile(tarfile.TarInfo(name))
    bad.archive.write_bytes(zstandard.compress(out.getvalue()))
    with pytest.raises(VerificationError, match="not in their order"):
        diff(good, bad)


def test_a_template_without_its_manifest_is_not_found(tmp_path: Path) -> None:
    archive_file = make(tmp_path / "x").archive
    archive_file.with_name(f"{NAME}.json").unlink()
    with pytest.raises(NotFoundError, match=r"tiny-1-x86_64\.json is missing"):
        Side.of(archive_file)
