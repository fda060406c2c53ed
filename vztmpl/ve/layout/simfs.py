"""simfs: the VE's files as a plain tree of its own, ``fs/``; blocks are shared where possible."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.layout import Usage, project
from vztmpl.ve.layout.copying import copy_tree
from vztmpl.ve.mounts import is_mounted

STACKED = False


def fill(_node: Node, config: VEConfig, live: Path, tree: Path) -> None:
    """Copy the tree."""
    (live / "fs").mkdir()
    project.claim(config, [live / "fs"])
    copy_tree(tree, live / "fs")


def branch(config: VEConfig, source: Path, new: Path, name: str) -> None:  # noqa: ARG001
    """Copy the tree; with programs writing into it the copy would be of no one moment."""
    if is_mounted(config.root):
        raise VEError(
            "a simfs container has to be stopped and unmounted for this",
            vz_code=codes.VE_RUNNING,
            hint=f"`vzctl stop {config.ctid}`; layouts btrfs and ploop can do it at any time",
        )
    (new / "fs").mkdir()
    copy_tree(source / "fs", new / "fs")


def mount(_node: Node, config: VEConfig, live: Path, root: Path, *, read_only: bool) -> None:
    """Show the tree with the VE's ids."""
    kernel.bind_idmapped(live / "fs", root, config.first_id, IDS_PER_VE, read_only=read_only)


@contextmanager
def tree(_node: Node, _config: VEConfig, live: Path) -> Iterator[Path]:
    """Yield the tree itself."""
    yield live / "fs"


def bound(config: VEConfig, live: Path) -> None:
    """Set the project quota, where there is one."""
    project.bound(config, [live / "fs"])


def not_enforced(config: VEConfig, live: Path) -> dict[str, str]:
    """Say what is not kept without project quota."""
    return project.not_enforced(config, live)


def usage(config: VEConfig, live: Path) -> Usage:
    """Ask the project quota."""
    return project.usage(config, live)


def compact(_node: Node, _config: VEConfig, _live: Path) -> None:
    """Do nothing: removed files are gone from the host already."""
