import hashlib
import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from tests.fakes import EPOCH, fake_program, names_in
from vztmpl.errors import CommandError, VerificationError, VztmplError
from vztmpl.run import run
from vztmpl.template import archive
from vztmpl.template.archive import Packed


def make_tree(folder: Path, names: list[str], umask: int, mtime: int) -> Path:
    before = os.umask(umask)
    try:
        folder.mkdir()
        folder.chmod(0o755)
        for name in names:
            (folder / name).write_text(f"this is {name}\n")
            (folder / name).chmod(0o640)
            os.utime(folder / name, (mtime, mtime))
        (folder / "link").symlink_to("/absolute/elsewhere")
        (folder / "second-name").hardlink_to(folder / min(names))
    finally:
        os.umask(before)
    return folder


def pack(tree: Path, target: Path) -> Packed:
    with target.open("wb") as file:
        return archive.pack(tree, file, EPOCH)


def unpack(packed: Packed, source: Path, folder: Path) -> Path:
    folder.mkdir()
    archive.unpack(source, folder, packed.digest, packed.unpacked_bytes)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", ["a", "b"], 0o022, EPOCH + 5)


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    one = make_tree(tmp_path / "one", ["a", "b", "Z", "ä"], 0o022, EPOCH + 1000)
    other = make_tree(tmp_path / "other", ["ä", "Z", "b", "a"], 0o077, EPOCH + 2000)
    first, second = pack(one, tmp_path / "1.zst"), pack(other, tmp_path / "2.zst")
    assert first == second
    assert (tmp_path / "1.zst").read_bytes() == (tmp_path / "2.zst").read_bytes()


def test_members_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    names = [f"{number:x}"[::-1] for number in range(0x1000, 0x1400)]
    packed = pack(make_tree(tmp_path / "tree", names, 0o022, EPOCH), tmp_path / "t.zst")
    stream = zstandard.ZstdDecompressor().decompress(
        (tmp_path / "t.zst").read_bytes(), max_output_size=packed.unpacked_bytes
    )
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        found = tar.getnames()
    assert found == sorted(found)
    assert len(found) == len(names) + 3


def test_an_older_time_is_part_of_the_tree(tmp_path: Path) -> None:
    one = make_tree(tmp_path / "one", ["a"], 0o022, EPOCH - 1)
    other = make_tree(tmp_path / "other", ["a"], 0o022, EPOCH - 2)
    assert pack(one, tmp_path / "1").digest != pack(other, tmp_path / "2").digest


def test_what_packing_says_of_the_file_is_true(tmp_path: Path, tree: Path) -> None:
    packed = pack(tree, tmp_path / "t.zst")
    assert archive.sha256_of(tmp_path / "t.zst") == (packed.sha256, packed.size_bytes)
    tar = zstandard.ZstdDecompressor().stream_reader(io.BytesIO((tmp_path / "t.zst").read_bytes()))
    content = tar.read()
    assert len(content) == packed.unpacked_bytes
    assert hashlib.sha256(content).hexdigest() == packed.digest


def test_a_tree_comes_back_with_its_links_and_modes(tmp_path: Path, tree: Path) -> None:
    tree.chmod(0o751)
    (tree / "suid").touch()
    (tree / "suid").chmod(0o4755)
    back = unpack(pack(tree, tmp_path / "t.zst"), tmp_path / "t.zst", tmp_path / "back")
    assert names_in(back) == ["a", "b", "link", "second-name", "suid"]
    assert (back / "link").readlink() == Path("/absolute/elsewhere")
    assert (back / "a").samefile(back / "second-name")
    assert (back / "a").read_text() == "this is a\n"
    assert (back / "a").stat().st_mode & 0o7777 == 0o640
    assert (back / "suid").stat().st_mode & 0o7777 == 0o4755
    assert (back / "a").stat().st_mtime == EPOCH
    assert back.stat().st_mode & 0o7777 == 0o751


def test_what_belongs_to_a_running_system_is_not_packed(tmp_path: Path, tree: Path) -> None:
    for name in ("dev/null", "proc/1", "sys/kernel", "run/lock", "usr/dev/kept"):
        (tree / name).parent.mkdir(parents=True)
        (tree / name).touch()
    back = unpack(pack(tree, tmp_path / "t.zst"), tmp_path / "t.zst", tmp_path / "back")
    assert [names_in(back / name) for name in ("dev", "proc", "sys", "run")] == [[]] * 4
    assert names_in(back / "usr/dev") == ["kept"]


@pytest.mark.root
def test_owners_attributes_and_capabilities_survive(tmp_path: Path, tree: Path) -> None:
    os.chown(tree / "b", 12345, 54321)
    os.setxattr(tree / "b", "user.note", b"kept\0")
    run(["setcap", "cap_net_raw=ep", tree / "a"])
    back = unpack(pack(tree, tmp_path / "t.zst"), tmp_path / "t.zst", tmp_path / "back")
    assert ((back / "b").stat().st_uid, (back / "b").stat().st_gid) == (12345, 54321)
    assert os.getxattr(back / "b", "user.note") == b"kept\0"
    assert "cap_net_raw=ep" in run(["getcap", back / "a"])


def test_a_damaged_archive_is_refused(tmp_path: Path, tree: Path) -> None:
    packed = pack(tree, tmp_path / "t.zst")
    whole = (tmp_path / "t.zst").read_bytes()
    middle = len(whole) // 2
    for number, content in enumerate(
        (
            whole[:-20],
            whole[:middle],
            b"",
            b"no archive at all",
            whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            whole + whole,
        )
    ):
        path = tmp_path / f"{number}.zst"
        path.write_bytes(content)
        with pytest.raises(VerificationError):
            archive.check(path, packed.digest, packed.unpacked_bytes)
        with pytest.raises((VerificationError, CommandError)):
            unpack(packed, path, tmp_path / f"back-{number}")


def test_another_tree_under_the_same_name_is_refused(tmp_path: Path, tree: Path) -> None:
    packed = pack(tree, tmp_path / "t.zst")
    (tree / "a").write_text("other a\n\n")
    pack(tree, tmp_path / "other.zst")
    with pytest.raises(VerificationError, match="does not hold what its manifest says"):
        archive.check(tmp_path / "other.zst", packed.digest, packed.unpacked_bytes)


def test_a_bomb_is_not_unpacked_beyond_what_the_manifest_says(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    (tmp_path / "bomb.zst").write_bytes(bomb)
    told: list[int] = []
    with pytest.raises(VerificationError, match="larger than its manifest says"):
        archive.check(tmp_path / "bomb.zst", "0" * 64, 10 << 20, told.append)
    assert sum(told) <= 10 << 20


def test_a_program_that_does_not_read_all_unpacks_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tree: Path
) -> None:
    (tree / "big").write_bytes(os.urandom(1 << 20))
    packed = pack(tree, tmp_path / "t.zst")
    fake_program(monkeypatch, tmp_path, "tar")
    with pytest.raises(CommandError):
        unpack(packed, tmp_path / "t.zst", tmp_path / "back")


def test_a_full_disk_is_said_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tree: Path
) -> None:
    packed = pack(tree, tmp_path / "t.zst")
    fake_program(
        monkeypatch, tmp_path, "tar", "cat >/dev/null; echo 'No space left on device' >&2; exit 2"
    )
    with pytest.raises(VztmplError, match="the disk is full") as caught:
        unpack(packed, tmp_path / "t.zst", tmp_path / "back")
    assert "MB are needed" in caught.value.hint


def test_progress_adds_up_to_the_whole_tar(tmp_path: Path, tree: Path) -> None:
    packing: list[int] = []
    unpacking: list[int] = []
    with (tmp_path / "t.zst").open("wb") as file:
        packed = archive.pack(tree, file, EPOCH, packing.append)
    archive.check(tmp_path / "t.zst", packed.digest, packed.unpacked_bytes, unpacking.append)
    assert sum(packing) == sum(unpacking) == packed.unpacked_bytes


def tar_of(*members: tuple[str, str, str]) -> bytes:
    """Make a tar of (name, type, link target) members; files hold ``evil``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind.encode(), target
            member.size = 5 if kind == FILE else 0
            tar.addfile(member, io.BytesIO(b"evil\n") if kind == FILE else None)
    return out.getvalue()


FILE, HARD, SYMBOLIC = "0", "1", "2"


@pytest.mark.parametrize(
    "members",
    [
        [("../../out/new", FILE, "")],
        [("./a/../../../out/new", FILE, "")],
        [("{out}/new", FILE, "")],
        [("{out}/victim", FILE, "")],
        [("d", SYMBOLIC, "{out}"), ("d/new", FILE, "")],
        [("d", SYMBOLIC, "../../out"), ("d/new", FILE, "")],
        [("d", SYMBOLIC, "{out}"), ("e", HARD, "d"), ("e/new", FILE, "")],
        [("x", SYMBOLIC, "."), ("x/y", SYMBOLIC, "../.."), ("x/y/out/new", FILE, "")],
        [("f", SYMBOLIC, "{out}/victim"), ("f", FILE, "")],
        [("h", HARD, "{out}/victim"), ("h", FILE, "")],
        [("h", HARD, "../../out/victim"), ("h", FILE, "")],
        [(".", SYMBOLIC, "{out}"), ("./new", FILE, "")],
    ],
)
def test_no_member_leaves_the_folder(tmp_path: Path, members: list[tuple[str, str, str]]) -> None:
    """Even a tar that is just what its manifest says."""
    out, inside = tmp_path / "out", tmp_path / "in"
    for folder in (out, inside, inside / "back"):
        folder.mkdir()
    (out / "victim").write_text("kept\n")
    placed = [(name.format(out=out), kind, to.format(out=out)) for name, kind, to in members]
    tar = tar_of(*placed)
    (tmp_path / "t.zst").write_bytes(zstandard.compress(tar))
    digest = hashlib.sha256(tar).hexdigest()
    with suppress(CommandError):
        archive.unpack(tmp_path / "t.zst", inside / "back", digest, len(tar))
    assert names_in(out) == ["victim"]
    assert (out / "victim").read_text() == "kept\n"
    assert (out / "victim").stat().st_nlink == 1
    assert names_in(inside) == ["back"]
