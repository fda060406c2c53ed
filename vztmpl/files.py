"""Files that are never half-written, and locks.

Every lasting file or folder is made under another name beside its own and renamed into place,
so a reader sees the old one or the new one and nothing between. What a killed process leaves is
called ``.NAME.XXXXXXXX`` and ``remove_abandoned`` finds it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOSPC, EXDEV
from pathlib import Path
from typing import IO

from vztmpl.errors import LockedError


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Yield a file that becomes ``path`` if the block ends well."""
    partial = _name_beside(path)
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(mode)
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno == ENOSPC and not error.filename:
            error.filename = str(path)  # a failed write does not say of what
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace the whole content of ``path`` at once."""
    with replacing(path, mode) as file:
        file.write(text.encode(errors="surrogateescape"))


@contextmanager
def replaced_by(path: Path) -> Iterator[Path]:
    """Yield a name beside ``path``; what a program makes there becomes ``path``."""
    partial = _name_beside(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` that becomes ``path`` if the block ends well."""
    partial = _name_beside(path)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    except BaseException:
        remove_tree(partial)
        raise
    sync_folder(path.parent)


def public_folder(path: Path) -> None:
    """Make a folder, and those above it, that all may read whatever the umask; old ones stay."""
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir()
            folder.chmod(0o755)


def remove_tree(path: Path, before: Callable[[Path], None] | None = None) -> None:
    """Remove a folder and all below it; one that is not there is fine.

    Its final name is free at once: the folder is renamed before the slow part. ``before`` is then
    told its new name.
    """
    doomed = path if path.name.startswith(".") else _name_beside(path)
    if doomed != path:
        try:
            path.rename(doomed)
        except FileNotFoundError:
            return
    if before:
        before(doomed)
    _remove(doomed)


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes left beside ``path``; call it with ``path``'s lock held."""
    for left in path.parent.glob(f".{path.name}.????????"):
        if left.is_dir() and not left.is_symlink():
            _remove(left)
        else:
            left.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold an advisory lock on ``path`` for the length of the block.

    The lock file is left behind on purpose: removing it would let two processes hold locks on
    two different files of the same name. Its content is the process id of the last holder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, how)
        except BlockingIOError as error:
            holder = path.read_text().strip()
            raise LockedError(
                f"{path} is locked" + (f" by process {holder}" if holder else ""),
                hint="wait until the other command is done; the lock goes with its process",
            ) from error
        if not shared:
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}")


def _remove(top: Path) -> None:
    """Remove a tree of any depth: every folder is moved to its top first, so no path grows long.

    (``shutil.rmtree`` gives up at a thousand levels, and its import costs 3 ms.)
    """
    doomed = [(top, top)]
    while doomed:
        here, roof = doomed[-1]
        with os.scandir(here) as entries:
            folders = [Path(entry) for entry in entries if not _removed(entry)]
        if not folders:
            here.rmdir()
            doomed.pop()
        doomed += [_moved(folder, roof) for folder in folders]


def _moved(folder: Path, roof: Path) -> tuple[Path, Path]:
    """Move a folder under ``roof``, or under its own parent; return where it is, and the roof."""
    try:
        return folder.rename(roof / os.urandom(8).hex()), roof
    except OSError as error:
        if error.errno != EXDEV:
            raise
    return folder, folder.parent  # the parent is a subvolume of btrfs, and a top of its own


def _removed(entry: "os.DirEntry[str]") -> bool:
    if entry.is_dir(follow_symlinks=False):
        return False
    Path(entry).unlink()
    return True
