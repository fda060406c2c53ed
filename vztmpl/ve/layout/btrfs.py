"""btrfs: the VE's files as a subvolume, ``volume/``; its qgroup keeps DISKSPACE.

Beside the private areas stands ``.base-<digest>/volume``, a base as a subvolume of the same file
system; a VE begins as a snapshot of it. Sizes are counted as the VE sees them, shared blocks too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import CommandError, VEError
from vztmpl.files import locked, new_folder, remove_abandoned, remove_tree
from vztmpl.run import run
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.layout import Usage
from vztmpl.ve.layout.copying import copy_tree, room_for

STACKED = False
_NOT_INSTALLED = 127


def fill(node: Node, config: VEConfig, live: Path, tree: Path) -> None:
    """Make a snapshot of a base's subvolume; copy any other tree."""
    if tree.parent == node.bases:
        _snapshot(_base_volume(node, config.private.parent, tree), live / "volume")
    else:
        _make_volume(live / "volume", tree)


def branch(config: VEConfig, source: Path, new: Path, name: str) -> None:  # noqa: ARG001
    """Make a snapshot, which is of one moment whatever writes."""
    _snapshot(source / "volume", new / "volume")


def mount(_node: Node, config: VEConfig, live: Path, root: Path, *, read_only: bool) -> None:
    """Show the subvolume with the VE's ids."""
    kernel.bind_idmapped(live / "volume", root, config.first_id, IDS_PER_VE, read_only=read_only)


@contextmanager
def tree(_node: Node, _config: VEConfig, live: Path) -> Iterator[Path]:
    """Yield the subvolume itself."""
    yield live / "volume"


def discard(live: Path) -> None:
    """Delete the subvolume, which takes no time however much is in it."""
    run(["btrfs", "subvolume", "delete", live / "volume"])


def bound(config: VEConfig, live: Path) -> None:
    """Limit the subvolume's qgroup, after switching quotas on when they are off."""
    volume = live / "volume"
    hard_kb = config.disk.hard_kb
    limit: list[str | Path] = [
        "btrfs",
        "qgroup",
        "limit",
        f"{hard_kb}K" if hard_kb else "none",
        volume,
    ]
    try:
        run(limit)
    except CommandError:
        if not hard_kb:
            return
        run(["btrfs", "quota", "enable", volume])
        run(["btrfs", "quota", "rescan", "-w", volume])
        run(limit)


def not_enforced(config: VEConfig, live: Path) -> dict[str, str]:  # noqa: ARG001
    """Say that inodes are not counted."""
    return {"diskinodes": "btrfs counts no inodes"} if config.disk.hard_inodes else {}


def usage(config: VEConfig, live: Path) -> Usage:  # noqa: ARG001
    """Ask the qgroup."""
    volume = live / "volume"
    try:
        lines = run(["btrfs", "qgroup", "show", "--raw", "-f", volume]).splitlines()
    except CommandError:  # quotas are off
        return Usage(None, None)
    rows = [line.split() for line in lines if line.startswith("0/")]
    return Usage(int(rows[0][1]) >> 10 if rows else None, None)


def compact(_node: Node, _config: VEConfig, _live: Path) -> None:
    """Do nothing: removed files are gone from the host already."""


def _base_volume(node: Node, beside: Path, base: Path) -> Path:
    """Return a base as a subvolume; remove those of bases that are gone."""
    for path in beside.glob(".base-*"):
        if not (node.bases / path.name.removeprefix(".base-")).is_dir():
            remove_tree(path, before=discard)
    folder = beside / f".base-{base.name}"
    with locked(node.locks / f"volume-{base.name}.lck", wait=True):
        remove_abandoned(folder)
        if not folder.is_dir():
            with new_folder(folder) as made:
                made.chmod(0o700)
                _make_volume(made / "volume", base)
    return folder / "volume"


def _make_volume(volume: Path, tree: Path) -> None:
    try:
        run(["btrfs", "subvolume", "create", volume])
    except CommandError as error:
        if error.status == _NOT_INSTALLED:
            error.hint = "apt-get install btrfs-progs"
        if "not a btrfs filesystem" not in error.tail:
            raise
        raise VEError(
            f"{volume.parent.parent} is not on a btrfs file system",
            vz_code=codes.UNK_MOUNT_TYPE,
            hint="set VE_PRIVATE in vz.conf, or --private, to a path on one; or another --layout",
        ) from error
    copy_tree(tree, volume)


def _snapshot(source: Path, target: Path) -> None:
    with room_for(target):
        run(["btrfs", "subvolume", "snapshot", source, target])
