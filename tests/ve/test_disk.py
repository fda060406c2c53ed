import subprocess
import sys
from pathlib import Path

import pytest

from vztmpl.errors import VEError
from vztmpl.ve import disk
from vztmpl.ve.disk import Disk
from vztmpl.ve.layout import ext4
from vztmpl.ve.mounts import is_mounted


def test_openvz_samples_are_read_as_kilobytes_and_numbers() -> None:
    read = Disk.parse({"DISKSPACE": "2G:2.2G", "DISKINODES": "131072:144179", "QUOTATIME": "0"})
    assert read.space_kb == (2 << 20, 2306868)
    assert (read.hard_kb, read.hard_inodes, read.layout) == (2306868, 144179, "overlay")
    assert Disk.parse({"DISKSPACE": "1048576"}).space_kb == (1 << 20, 1 << 20)
    assert not Disk.parse({"DISKSPACE": "unlimited"}).bounded
    assert not Disk.parse({}).bounded


@pytest.mark.parametrize("text", ["", "lots", "2G:1G", "0", "-1", "0:5G", "1G:", "1G:2G:3G"])
def test_wrong_space_is_refused(text: str) -> None:
    with pytest.raises(VEError):
        disk.space(text)


@pytest.mark.parametrize("text", ["", "zfs", "simfs:raw", "ploop:qcow2", "PLOOP"])
def test_wrong_layouts_are_refused(text: str) -> None:
    with pytest.raises(VEError):
        disk.layout(text)


def test_openvz_names_of_image_formats_are_taken() -> None:
    assert {disk.layout(f"ploop:{form}") for form in ("raw", "plain", "expanded")} == {"ploop"}


def test_a_superblock_says_what_mkfs_made(tmp_path: Path) -> None:
    tree, image = tmp_path / "tree", tmp_path / "image"
    (tree / "etc").mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(ext4.make_command(image, tree, 1000), check=True)
    about = ext4.read(image)
    assert about.blocks == (32 << 20) // ext4.BLOCK_BYTES
    assert 1000 <= about.inodes <= 1020
    assert about.inodes - about.free_inodes == 12  # what ext4 keeps for itself, and etc
    assert about.clean
    ext4.check(image)


def test_what_holds_no_file_system_is_said(tmp_path: Path) -> None:
    for content in (b"", bytes(4096)):
        (tmp_path / "image").write_bytes(content)
        with pytest.raises(VEError, match="no ext4"):
            ext4.read(tmp_path / "image")


def test_mounts_are_told_from_folders(tmp_path: Path) -> None:
    assert is_mounted(Path("/proc"))
    assert not is_mounted(tmp_path)
    assert not is_mounted(tmp_path / "missing/folder")


@pytest.mark.root
def test_a_folder_bound_from_its_own_file_system_is_a_mount(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; import sys; from vztmpl.ve.mounts import is_mounted;"
        "sys.exit(not is_mounted(Path(sys.argv[1])))"
    )
    place = tmp_path / "a b"
    place.mkdir()
    script = 'mount --bind "$1" "$1" && exec "$2" -c "$3" "$1"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(place), sys.executable, code]
    assert subprocess.run(words, check=False).returncode == 0
