import errno
import os
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.fakes import names_in
from vztmpl.errors import LockedError
from vztmpl.files import locked, new_folder, remove_abandoned, remove_tree, replacing, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text("old")

    with pytest.raises(OSError, match="disk full"), replacing(path) as file:
        file.write(b"half")
        raise OSError("disk full")

    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["index.json"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_text(tmp_path / "public", "x")
        write_text(tmp_path / "private", "x", 0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "public").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="space") as caught, replacing(tmp_path / "big"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "big")


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), new_folder(tmp_path / "base") as folder:
        (folder / "deep").mkdir()
        raise ValueError("no")
    assert names_in(tmp_path) == []


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "base") as folder:
        (folder / "file").touch()
        assert not (tmp_path / "base").exists()
    assert names_in(tmp_path / "base") == ["file"]


def test_removing_a_tree_that_is_not_there_is_fine(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none")
    (tmp_path / "some/deep").mkdir(parents=True)
    remove_tree(tmp_path / "some")
    assert names_in(tmp_path) == []


def test_removing_a_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "tree")
    assert names_in(tmp_path / "kept") == ["file"]


def test_only_what_was_left_beside_this_name_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".a.01234567").touch()
    (tmp_path / ".a.89abcdef").mkdir()
    for name in (".b.01234567", "a", ".a.txt"):
        (tmp_path / name).touch()
    remove_abandoned(tmp_path / "a")
    assert names_in(tmp_path) == [".a.txt", ".b.01234567", "a"]


def test_the_second_holder_of_a_lock_is_told_who_holds_it(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "l"),
        pytest.raises(LockedError, match=f"by process {os.getpid()}"),
        locked(tmp_path / "l"),
    ):
        pass
    with locked(tmp_path / "l"):
        pass


def test_readers_share_a_lock_and_keep_writers_out(tmp_path: Path) -> None:
    with locked(tmp_path / "l", shared=True), locked(tmp_path / "l", shared=True):  # noqa: SIM117
        with pytest.raises(LockedError), locked(tmp_path / "l"):
            pass


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    context = get_context("fork")
    holding = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "l", holding))
    process.start()
    assert holding.wait(5)
    with pytest.raises(LockedError, match=str(process.pid)), locked(tmp_path / "l"):
        pass
    process.kill()
    process.join()
    with locked(tmp_path / "l"):
        pass


def test_a_lock_may_be_waited_for(tmp_path: Path) -> None:
    context = get_context("fork")
    holding = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "l", holding, 0.3))
    process.start()
    assert holding.wait(5)
    began = time.monotonic()
    with locked(tmp_path / "l", wait=True):
        assert time.monotonic() - began > 0.1
    process.join()


def _hold(path: Path, holding: object, seconds: float = 30) -> None:
    with locked(path):
        holding.set()  # type: ignore[attr-defined]
        time.sleep(seconds)


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_PATH)
    for _ in range(3000):
        os.mkdir("a long name for a folder", dir_fd=here)
        os.symlink(outside, "link", dir_fd=here)
        below = os.open("a long name for a folder", os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    remove_tree(tmp_path / "deep")

    assert names_in(tmp_path) == ["outside"]
    assert names_in(outside) == ["kept"]
