"""ext4 images without mounting them: made, looked at, checked. Owner of mkfs.ext4 and e2fsck.

Layout of the superblock: ``Documentation/filesystems/ext4/super.rst``.
"""

import struct
from pathlib import Path
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.run import run
from vztmpl.ve import codes

BLOCK_BYTES = 4096
_OFFSET = 1024
_SUPER = struct.Struct("<II4xII36xHH276xI4xI")
_MAGIC = 0xEF53
_ERRORS = 2
_CORRECTED = (0, 1)


class Superblock(NamedTuple):
    """What an ext4 file system says of itself; while it is mounted what is free may be old news."""

    blocks: int
    inodes: int
    free_blocks: int
    free_inodes: int
    clean: bool
    """Whether mounting it, with its journal, is all that it needs."""


def make_command(image: Path, tree: Path, inodes: int) -> list[str]:
    """Return the command that fills an empty sparse file: all zeros need not be written."""
    lazy = "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1"
    return [
        "mkfs.ext4", "-q", "-F", "-b", str(BLOCK_BYTES), "-m", "0", "-E", lazy,
        *(["-N", str(inodes)] if inodes else []), "-d", str(tree), str(image),
    ]  # fmt: skip


def read(image: Path) -> Superblock:
    """Read the superblock of an image."""
    with image.open("rb") as file:
        file.seek(_OFFSET)
        content = file.read(_SUPER.size)
    if len(content) == _SUPER.size:
        inodes, low, free_low, free_inodes, magic, state, high, free_high = _SUPER.unpack(content)
        if magic == _MAGIC:
            return Superblock(
                blocks=high << 32 | low,
                inodes=inodes,
                free_blocks=free_high << 32 | free_low,
                free_inodes=free_inodes,
                clean=not state & _ERRORS,
            )
    raise VEError(
        f"{image} holds no ext4 file system",
        vz_code=codes.FS_CANTMOUNT,
        hint="put it back from a backup, or `vzctl snapshot-switch`",
    )


def check(image: Path, *, discard: bool = False) -> None:
    """Check an image and correct what needs no decision; ``discard`` punches holes where it can."""
    options = ["-E", "discard"] if discard else []
    run(["e2fsck", "-f", "-p", *options, image], ok=_CORRECTED)
