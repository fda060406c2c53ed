"""How a VE's files are kept: overlay, simfs, btrfs, ploop, each a module with one face.

A ``live`` folder holds what a VE sees at present; what stands in it tells the layout:

    overlay   base upper/ work/ [lowers]    a shared base below, the VE's changes above
    simfs     fs/                           a plain tree of the VE's own
    btrfs     volume/                       a subvolume, begun as a snapshot of the base's
    ploop     root.hdd                      an image with an ext4 file system

Owners inside are those of the template, 0 and up, and are shown as the VE's own ids by the mount;
only overlay's upper holds ids of the VE's range.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig

MARKS: Mapping[str, str] = {
    "upper": "overlay",
    "fs": "simfs",
    "volume": "btrfs",
    "root.hdd": "ploop",
}


class Usage(NamedTuple):
    """What a VE's files take."""

    space_kb: int | None
    """None, as for inodes: nothing counts it."""
    inodes: int | None


class Layout(Protocol):
    """What a module of this package is."""

    STACKED: bool
    """Whether what was live stays in its place, below, when a snapshot is made."""

    def fill(self, node: Node, config: VEConfig, live: Path, tree: Path) -> None:
        """Make the empty folder ``live`` hold what ``tree`` does, owners as in a template."""

    def branch(self, config: VEConfig, source: Path, new: Path, name: str) -> None:
        """Make the empty folder ``new`` begin with what ``source`` holds.

        ``name`` is that of the snapshot that ``source`` is or is about to be. VEError when the VE's
        root is mounted and this needs it not to be.
        """

    def mount(
        self, node: Node, config: VEConfig, live: Path, root: Path, *, read_only: bool
    ) -> None:
        """Mount what a live folder or a snapshot holds, with the VE's own ids; raises OSError."""

    def tree(self, node: Node, config: VEConfig, live: Path) -> AbstractContextManager[Path]:
        """Yield what a live folder holds with owners as in a template, to be read only.

        May put this process into a mount namespace of its own, so that nothing can stay behind.
        """

    def bound(self, config: VEConfig, live: Path) -> None:
        """Put DISKSPACE and DISKINODES in force, on a running VE too; VEError when it can't be."""

    def not_enforced(self, config: VEConfig, live: Path) -> dict[str, str]:
        """Return which disk limits of the configuration nothing here keeps, and why.

        ``live`` need not be there yet.
        """

    def usage(self, config: VEConfig, live: Path) -> Usage:
        """Say what is used of the limits."""

    def compact(self, node: Node, config: VEConfig, live: Path) -> None:
        """Give back to the host what the VE does not use any more; its root is not mounted."""


def named(name: str) -> Layout:
    """Return a layout; only those that are used are imported."""
    module: Layout = import_module(f"vztmpl.ve.layout.{name}")
    return module


def found(live: Path) -> str:
    """Say the layout of a live folder or a snapshot."""
    for mark, name in MARKS.items():
        if (live / mark).exists():
            return name
    raise VEError(
        f"{live} holds nothing that a VE could be made of",
        vz_code=codes.FS_NOPRVT,
        hint="put it back from a backup, or destroy the VE",
    )
