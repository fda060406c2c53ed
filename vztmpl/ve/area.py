"""The private area of a VE, and its root: what VE_PRIVATE holds, shown at VE_ROOT when mounted.

    <private>/                  0700, root's
      live/                     what the VE sees; layout/ says what stands in it, by layout
        snapshot                the snapshot that it began as, if it did
      snapshots/<uuid>/         as live was at some time, with about.json (snapshot.py)

``live`` is only ever exchanged as a whole, so an area has one complete state at any moment.
"""

import errno
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import VEError
from vztmpl.files import new_folder, remove_abandoned, remove_tree
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig, all_ctids, private_of
from vztmpl.ve.layout import Layout, Usage, found, named
from vztmpl.ve.mounts import is_mounted

_LIMITS = frozenset(("diskspace", "diskinodes", "quotatime", "quotaugidlimit"))


def live_of(config: VEConfig) -> Path:
    """Return the folder with the present state of a VE's files."""
    return config.private / "live"


def layout_of(config: VEConfig) -> str:
    """Say the layout of a VE: of its area when there is one, else of its configuration."""
    return found(live_of(config)) if config.private.is_dir() else config.disk.layout


def create_private(node: Node, config: VEConfig, base: Path) -> None:
    """Make the private area of a VE whose range is already allocated, in its conf's layout."""
    config.private.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(config.private)
    with new_folder(config.private) as private:
        private.chmod(0o700)
        live = live_of(config._replace(private=private))
        live.mkdir()
        named(config.disk.layout).fill(node, config, live, base)


def destroy_private(config: VEConfig) -> None:
    """Remove the private area; its name is free at once."""
    for folder in config.private.glob("snapshots/*"):
        if snapshot_place(folder):
            unmount_snapshot(config, folder)
    remove_tree(config.private, before=_discard_all)
    remove_abandoned(config.private)


def mount_root(node: Node, config: VEConfig) -> None:
    """Mount the VE's root file system at VE_ROOT, with the disk limits of its configuration."""
    live = live_of(config)
    layout = named(found(live))
    if config.disk.bounded:
        layout.bound(config, live)
    mount_at(node, config, layout, live, config.root)


def mount_at(
    node: Node,
    config: VEConfig,
    layout: Layout,
    live: Path,
    root: Path,
    *,
    read_only: bool = False,
) -> None:
    """Mount a live folder or a snapshot."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        layout.mount(node, config, live, root, read_only=read_only)
    except OSError as error:
        hint = "`vztmpl doctor` says what this host lacks"
        raise VEError(
            f"can't mount {root}: {error.strerror}", vz_code=codes.FS_CANTMOUNT, hint=hint
        ) from error


def unmount_root(config: VEConfig) -> None:
    """Unmount VE_ROOT, however often it is mounted; VEError when something still uses it."""
    unmount_at(config.root)


def unmount_at(root: Path) -> None:
    """Unmount what is mounted at a folder."""
    while is_mounted(root):
        try:
            kernel.unmount(root)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise VEError(
                f"can't unmount {root}: it is in use",
                vz_code=codes.FS_CANTUMOUNT,
                hint=f"`fuser -vm {root}` shows by whom",
            ) from error


def snapshot_place(folder: Path) -> Path | None:
    """Return where a snapshot is mounted: its link ``mounted`` says so."""
    link = folder / "mounted"
    place = link.readlink() if link.is_symlink() else None
    return place if place and is_mounted(place) else None


def unmount_snapshot(config: VEConfig, folder: Path) -> None:
    """Unmount a snapshot, and remove the folder that was made for it."""
    place = (folder / "mounted").readlink()
    unmount_at(place)
    (folder / "mounted").unlink()
    if place.parent == config.root.parent:
        place.rmdir()


def bound(config: VEConfig) -> None:
    """Put the disk limits of a configuration in force, on a running VE too."""
    live = live_of(config)
    named(found(live)).bound(config, live)


def not_enforced(config: VEConfig, names: Collection[str] = _LIMITS) -> dict[str, str]:
    """Return which of these disk limits nothing keeps a VE to here, and why."""
    if not _LIMITS.intersection(names):
        return {}
    live, disk = live_of(config), config.disk
    found = named(layout_of(config)).not_enforced(config, live) if disk.bounded else {}
    if disk.quotatime_seconds:
        found["quotatime"] = "the kernel has one for a whole file system, see setquota -t"
    if disk.quotaugidlimit:
        found["quotaugidlimit"] = "only the host's root can set quotas of the users inside"
    return {name: why for name, why in found.items() if name in names}


def usage(config: VEConfig) -> Usage:
    """Say what a VE uses of DISKSPACE and DISKINODES; None where nothing counts it."""
    live = live_of(config)
    return named(found(live)).usage(config, live)


@contextmanager
def new_live(config: VEConfig) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``live``; the old one is removed last."""
    from vztmpl.filesystem import exchange

    live, old = live_of(config), config.private / "old"
    with new_folder(old) as fresh:
        yield fresh
        exchange(fresh, live)  # what becomes ``old`` is now what was live
    remove_tree(old, before=discard)


def tidy(config: VEConfig) -> None:
    """Remove what killed commands left in the area."""
    remove_abandoned(config.private / "old")
    remove_tree(config.private / "old", before=discard)


def bases_in_use(node: Node) -> set[str]:
    """Return the digests of the bases that VEs, and snapshots of them, are made of."""
    privates = {private_of(node, ctid) for ctid in all_ctids(node)}
    links = [link for private in privates for link in private.glob("live/base")]
    links += [link for private in privates for link in private.glob("snapshots/*/base")]
    return {link.readlink().name for link in links if link.is_symlink()}


def discard(folder: Path) -> None:
    """Do what a live folder or a snapshot needs before its files are removed."""
    if (folder / "volume").exists():
        from vztmpl.ve.layout import btrfs

        btrfs.discard(folder)


def _discard_all(private: Path) -> None:
    for folder in (*private.glob("*"), *private.glob("snapshots/*")):
        discard(folder)
