"""Whole trees and images copied; blocks are shared where the file system can."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vztmpl.errors import CommandError, VEError
from vztmpl.run import run
from vztmpl.ve import codes

_FULL = ("No space left on device", "Disk quota exceeded", "Could not allocate")


def copy_tree(source: Path, target: Path) -> None:
    """Make the folder ``target`` hold all that ``source`` holds, on the disk when this returns."""
    with room_for(target):
        run(["cp", "--archive", "--reflink=auto", "--", f"{source}/.", target])
        run(["sync", "--file-system", target])


def copy_image(source: Path, target: Path, *, share: bool = False) -> None:
    """Copy an image, holes as holes, onto the disk; ``share``: its blocks have to be shared."""
    how = ["--reflink=always"] if share else ["--reflink=auto", "--sparse=always"]
    with room_for(target):
        run(["cp", *how, "--", source, target])
        run(["sync", target])


@contextmanager
def room_for(target: Path) -> Iterator[None]:
    """Say so when a program of the block failed because the disk is full."""
    try:
        yield
    except CommandError as error:
        if not any(words in error.tail for words in _FULL):
            raise
        raise VEError(
            f"{target}: the disk is full",
            vz_code=codes.FS_NO_DISK_SPACE,
            hint="make room, or give the VE more --diskspace",
        ) from error
