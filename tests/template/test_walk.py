"""Reading archives as streams: faithful to good ones, unhurt by those made to hurt."""

import io
import os
import resource
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.fakes import EPOCH
from vztmpl.errors import VerificationError
from vztmpl.run import run
from vztmpl.template import archive
from vztmpl.template.walk import Kind, Member, walk

MB = 1 << 20


def header(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, **fields: str | dict[str, str]
) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for key, value in fields.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.PAX_FORMAT)


def extended(kind: bytes, size: int) -> bytes:
    """An extended header of this size, and its content."""
    return header("x", kind, size) + bytes(size + -size % 512)


def old_sparse() -> bytes:
    block = bytearray(header("s", tarfile.GNUTYPE_SPARSE))
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


FILE = header("./file", size=5) + b"hello".ljust(512, b"\0")
END = bytes(1024)


def pack(tmp_path: Path, tar: bytes) -> Path:
    packed = tmp_path / "t.tar.zst"
    packed.write_bytes(zstandard.compress(tar))
    return packed


def read(tmp_path: Path, tar: bytes, limit: int = 1 << 40) -> list[Member]:
    return list(walk(pack(tmp_path, tar), limit))


@pytest.mark.root
def test_what_is_read_is_what_was_packed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d/file").write_bytes(b"content")
    (tree / "d/second").hardlink_to(tree / "d/file")
    (tree / "link").symlink_to("d/file")
    (tree / "tool").write_bytes(b"x" * 100_000)
    (tree / "tool").chmod(0o4755)
    os.chown(tree / "d", 12, 3_000_000)
    os.setxattr(tree / "d/file", "user.note", b"\xff\0=\n")
    os.mkfifo(tree / "pipe")
    (tree / ("n" * 200)).mkdir()
    (tree / os.fsdecode(b"\xff\n\\")).touch()
    run(["setcap", "cap_net_raw=ep", tree / "tool"])
    with (tmp_path / "t").open("wb") as file:
        packed = archive.pack(tree, file, EPOCH)
    found = {}
    for member in walk(tmp_path / "t", packed.unpacked_bytes):
        found[member.path] = (member, member.read(MB))
    assert set(found) == {
        "", "d", "d/file", "d/second", "link", "tool", "pipe", "n" * 200, os.fsdecode(b"\xff\n\\"),
    }  # fmt: skip
    for path, (member, _) in found.items():
        real = (tree / path).lstat()
        assert (member.mode, member.uid, member.gid) == (
            stat.S_IMODE(real.st_mode), real.st_uid, real.st_gid,
        )  # fmt: skip
        assert member.mtime == min(EPOCH, real.st_mtime)
    assert found["d/file"][1] == b"content"
    assert found["tool"][1] == b"x" * 100_000
    assert found["d/file"][0].xattrs == {"user.note": b"\xff\0=\n"}
    assert "security.capability" in found["tool"][0].xattrs
    assert (found["link"][0].kind, found["link"][0].target) == (Kind.LINK, "d/file")
    assert (found["d/second"][0].kind, found["d/second"][0].target) == (Kind.HARD_LINK, "d/file")
    assert found["pipe"][0].kind is Kind.FIFO


def test_names_that_lead_out_are_told_as_they_are(tmp_path: Path) -> None:
    found = read(tmp_path, header("/etc/x") + header("./../x") + header("../x") + END)
    assert [member.path for member in found] == ["/etc/x", "../x", "../x"]


BAD: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "no tar": lambda: b"x" * 5000,
    "cut in a header": lambda: FILE + header("./next")[:100],
    "cut in a file": lambda: header("./file", size=5000) + b"hello",
    "a broken header behind a good one": lambda: FILE + b"x" * 512 + FILE + END,
    "a pax header without end": lambda: extended(tarfile.XHDTYPE, 64 * MB) + FILE,
    "a long name without end": lambda: extended(tarfile.GNUTYPE_LONGNAME, 64 * MB) + FILE,
    "a long link without end": lambda: extended(tarfile.GNUTYPE_LONGLINK, 64 * MB) + FILE,
    "headers on headers": lambda: extended(tarfile.XHDTYPE, 0) * 5000 + FILE,
    "a header for all": lambda: extended(tarfile.XGLTYPE, 512) + FILE,
    "headers for all": lambda: tarfile.TarInfo.create_pax_global_header({"a": "b"}) * 9000 + FILE,
    "sparse": lambda: old_sparse() + END,
    "sparse by pax": lambda: (
        header("s", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}, size=64 * MB)
        + b"9999999999\n"
        + b"1\n" * 32 * MB
    ),
    "an unknown kind": lambda: header("./x", b"Z") + END,
    "a volume": lambda: header("./x", b"V") + END,
    "a name too long": lambda: header("./" + "x/" * 3000) + END,
    "a name too long in one step": lambda: header("./" + "x" * 256) + END,
    "a negative size": lambda: header("./x", pax_headers={"size": "-1024"}) + END,
    "more than fits": lambda: header("./x", pax_headers={"SCHILY.xattr.a": "x" * 3_900_000}) * 80,
}


ABSURD = "has a header of an absurd size"
SAID = {
    "a pax header without end": ABSURD, "a long name without end": ABSURD,
    "a long link without end": ABSURD, "sparse by pax": ABSURD, "sparse": "a sparse member",
    "a header for all": "a header for all", "more than fits": "far too many members",
    "an unknown kind": "is of an unknown kind", "a name too long": "a name longer than",
    "a broken header behind a good one": "invalid header",
}  # fmt: skip
"""The reason, where another one would mean that the defence is not there."""


@pytest.mark.parametrize(("name", "made"), BAD.items(), ids=BAD.keys())
def test_what_our_packer_can_not_have_made_is_refused_in_little_memory(
    tmp_path: Path, name: str, made: Callable[[], bytes]
) -> None:
    packed = pack(tmp_path, made())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VerificationError, match=SAID.get(name, "holds no tar that vztmpl makes")):
        list(walk(packed, 1 << 40))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_no_more_is_read_than_the_manifest_says(tmp_path: Path) -> None:
    tar = header("./big", size=64 * MB) + bytes(64 * MB) + END
    with pytest.raises(VerificationError, match="is larger than its manifest says"):
        read(tmp_path, tar, limit=MB)
    assert len(read(tmp_path, tar, limit=len(tar))) == 1


def test_reading_a_file_that_is_cut_short_is_refused_too(tmp_path: Path) -> None:
    packed = pack(tmp_path, header("./file", size=5000) + b"hello")
    with pytest.raises(VerificationError):
        [member.read(MB) for member in walk(packed, MB)]


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    tar = FILE * 3 + END
    told = list[int]()
    list(walk(pack(tmp_path, tar), len(tar), told.append))
    assert sum(told) == len(tar)


def test_what_follows_the_end_is_not_looked_at(tmp_path: Path) -> None:
    out = io.BytesIO(FILE + END + FILE)
    assert [member.path for member in read(tmp_path, out.getvalue())] == ["file"]
