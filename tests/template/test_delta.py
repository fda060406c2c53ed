"""Deltas make the very tar that they were made for, and nothing hostile can be done with one."""

import hashlib
import io
import os
import random
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.fakes import EPOCH
from vztmpl.errors import VerificationError
from vztmpl.template import archive, delta
from vztmpl.template.archive import Packed
from vztmpl.template.delta import MAGIC, Operation
from vztmpl.template.difference import make

Change = Callable[[Path], object]


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def fill(tree: Path) -> None:
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/libc.so.6").write_bytes(noise(300_000, 1))
    (tree / "usr/lib/libz.so.1.2.3").write_bytes(noise(200_000, 2))
    (tree / "etc").mkdir()
    (tree / "etc/motd").write_text("hello\n")
    (tree / "etc/empty").touch()
    (tree / "etc" / ("long-" * 40)).write_text("a name too long for a plain header\n")
    (tree / "etc/\udcff\n").write_text("a name that is no UTF-8\n")
    (tree / "bin").symlink_to("usr/bin")
    (tree / "etc/second").hardlink_to(tree / "etc/motd")
    with (tree / "sparse").open("wb") as file:
        file.truncate(10 << 20)
        file.seek(5 << 20)
        file.write(noise(100_000, 3))


def patched(path: Path, at: int, new: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(new)] = new
    path.unlink()
    path.write_bytes(content)


def nothing(_: Path) -> None:
    pass


def a_changed_file(tree: Path) -> None:
    patched(tree / "usr/lib/libc.so.6", 150_000, noise(500, 9))


def a_file_of_another_version(tree: Path) -> None:
    patched(tree / "usr/lib/libz.so.1.2.3", 100_000, noise(500, 9))
    (tree / "usr/lib/libz.so.1.2.3").rename(tree / "usr/lib/libz.so.1.2.14")


def a_moved_file(tree: Path) -> None:
    (tree / "usr/lib/libc.so.6").rename(tree / "etc/elsewhere")


def a_file_that_became_a_link(tree: Path) -> None:
    (tree / "usr/lib/libc.so.6").unlink()
    (tree / "usr/lib/libc.so.6").symlink_to("libz.so.1.2.3")


def a_new_sparse_file(tree: Path) -> None:
    patched(tree / "sparse", 6 << 20, noise(1000, 8))
    with (tree / "sparse-2").open("wb") as file:
        file.truncate(3 << 20)


def nothing_left(tree: Path) -> None:
    import shutil

    for path in tree.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def pack(tree: Path, path: Path) -> Packed:
    with path.open("wb") as file:
        return archive.pack(tree, file, EPOCH)


def applied(path: Path, tree: Path) -> bytes:
    with path.open("rb") as file:
        return b"".join(delta.apply(file, tree, "the delta"))


@pytest.mark.parametrize(
    ("change", "limit_bytes"),
    [
        (nothing, 1_500),
        (a_changed_file, 3_000),
        (a_file_of_another_version, 3_000),
        (a_moved_file, 1_500),
        (a_file_that_became_a_link, 1_500),
        (a_new_sparse_file, 103_000),
        (nothing_left, 1_000),
    ],
)
def test_a_delta_makes_the_very_tar(tmp_path: Path, change: Change, limit_bytes: int) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for tree in (old, new):
        fill(tree)
    change(new)
    before, after = tmp_path / "old.zst", tmp_path / "new.zst"
    pack(old, before)
    packed = pack(new, after)
    told: list[int] = []
    with (tmp_path / "delta").open("wb") as file:
        make(before, after, file, tmp_path, told.append)
    tar = applied(tmp_path / "delta", old)
    assert hashlib.sha256(tar).hexdigest() == packed.digest
    assert len(tar) == packed.unpacked_bytes
    assert (tmp_path / "delta").stat().st_size < limit_bytes
    assert sum(told) > packed.unpacked_bytes
    assert {path.name for path in tmp_path.iterdir()} == {
        "old", "new", "old.zst", "new.zst", "delta",
    }  # fmt: skip


def test_a_name_that_the_tar_holds_twice_is_that_of_the_last(tmp_path: Path) -> None:
    def tar(*contents: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as written:
            for content in contents:
                member = tarfile.TarInfo("./twice")
                member.size = len(content)
                written.addfile(member, io.BytesIO(content))
        return out.getvalue()

    first, last = noise(50_000, 1), noise(50_000, 2)
    (tmp_path / "old.zst").write_bytes(zstandard.compress(tar(first, last)))
    (tmp_path / "new.zst").write_bytes(zstandard.compress(tar(first)))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/twice").write_bytes(last)
    with (tmp_path / "delta").open("wb") as file:
        make(tmp_path / "old.zst", tmp_path / "new.zst", file, tmp_path, lambda _: None)
    assert applied(tmp_path / "delta", tmp_path / "tree") == tar(first)


def test_the_name_of_a_delta_says_what_it_is_for() -> None:
    assert delta.since(delta.file_name("ab" * 32)) == "ab" * 32
    assert delta.since("debian-13-x86_64.json") == ""


def operation(code: int, data: bytes = b"", size: int = 0) -> bytes:
    value, out = size or len(data), bytearray([code])
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value]) + data


def delta_of(*operations: bytes) -> bytes:
    return MAGIC + zstandard.compress(b"".join(operations))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/motd").write_text("hello\n")
    (tree / "etc/passwd").symlink_to("/etc/passwd")
    (tree / "out").symlink_to("/etc")
    os.mkfifo(tree / "fifo")
    (tmp_path / "secret").write_text("secret\n")
    return tree


def test_every_operation_does_what_the_format_says(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "delta").write_bytes(
        delta_of(
            operation(Operation.DATA, b"<"),
            operation(Operation.OPEN, b"etc/motd"),
            operation(Operation.COPY, size=2),
            operation(Operation.SEEK, size=4),
            operation(Operation.COPY, size=1),
            operation(Operation.ADD, b"\x54"),
            operation(Operation.ZSTD, zstandard.compress(b">")),
        )
    )
    assert applied(tmp_path / "delta", tree) == b"<heo^>"


@pytest.mark.parametrize(
    "name",
    [
        b"/etc/passwd", b"../secret", b"etc/../../secret", b"etc/passwd", b"out/passwd", b"out",
        b"etc", b"fifo", b"", b".", b"none", b"a\0b", b"etc//motd", b"./etc/motd", b"x" * 5000,
    ],
)  # fmt: skip
def test_no_delta_reads_anything_but_files_of_the_old_tree(
    tree: Path, tmp_path: Path, name: bytes
) -> None:
    (tmp_path / "delta").write_bytes(
        delta_of(operation(Operation.OPEN, name), operation(Operation.COPY, size=1))
    )
    with pytest.raises(VerificationError, match="the delta can't be applied"):
        applied(tmp_path / "delta", tree)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no delta",
        MAGIC + b"no zstd",
        delta_of(operation(9, b"x")),
        delta_of(operation(Operation.DATA, b"x", size=2)),
        delta_of(operation(Operation.COPY, size=1)),
        delta_of(operation(Operation.OPEN, b"etc/motd"), operation(Operation.COPY, size=7)),
        delta_of(operation(Operation.OPEN, b"etc/motd"), operation(Operation.ZSTD, b"no zstd")),
        delta_of(operation(Operation.ZSTD, b"", size=1 << 40)),
        delta_of(bytes([Operation.DATA]) + b"\xff" * 20),
        delta_of(bytes([Operation.DATA])),
    ],
)
def test_what_is_no_delta_is_refused(tree: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "delta").write_bytes(content)
    with pytest.raises(VerificationError, match="the delta"):
        applied(tmp_path / "delta", tree)


def test_a_bomb_needs_no_memory(tree: Path, tmp_path: Path) -> None:
    frame = zstandard.compress(bytes(1 << 30))
    bomb = delta_of(operation(Operation.OPEN, b"etc/motd"), operation(Operation.ZSTD, frame))
    (tmp_path / "delta").write_bytes(bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (tmp_path / "delta").open("rb") as file, pytest.raises(VerificationError, match="larger"):
        for _ in archive.verified(delta.apply(file, tree, "d"), "0" * 64, 100 << 20, "the delta"):
            pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
