"""The private area of a VE, and its root: the base below, the VE's own changes above.

    <private>/            0700, root's
      base -> .../base/<digest>   what the VE was made from
      upper/              the VE's changes; owners are ids of the VE's own range
      work/               overlayfs' own

The base is shared by all VEs and owned by 0…65535. It is mounted idmapped to the VE's range as
the lower layer, so nothing is chowned and one copy in the page cache serves every VE.
"""

import errno
import os
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import VEError
from vztmpl.files import locked, new_folder, remove_abandoned, remove_tree
from vztmpl.settings import FIRST_LOCAL_ID, Node
from vztmpl.ve import codes
from vztmpl.ve.config import IDS_PER_VE, VEConfig

_BLOCKS = 20000  # FIRST_LOCAL_ID + all of them stays below 0x6FFFFFFF, where containers' ids end


def create_private(config: VEConfig, base: Path) -> None:
    """Make the private area of a VE whose range is already allocated."""
    config.private.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(config.private)
    inside = (base.stat().st_uid + config.first_id, base.stat().st_gid + config.first_id)
    with new_folder(config.private) as private:
        private.chmod(0o700)
        for name in ("upper", "work"):
            (private / name).mkdir()
        os.chown(private / "upper", *inside)
        (private / "upper").chmod(base.stat().st_mode & 0o7777)
        (private / "base").symlink_to(base)


def destroy_private(config: VEConfig) -> None:
    """Remove the private area; its name is free at once."""
    remove_tree(config.private)
    remove_abandoned(config.private)


def mount_root(node: Node, config: VEConfig) -> None:
    """Mount the VE's root file system at VE_ROOT."""
    base = config.private / "base"
    if not base.is_dir():
        raise VEError(
            f"{base}: the base of this VE is gone",
            vz_code=codes.FS_NOPRVT,
            hint=f"fetch or build {config.ostemplate or 'its template'} again",
        )
    config.root.mkdir(parents=True, exist_ok=True)
    lower = node.run / f"lower-{config.ctid}"
    lower.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={lower},upperdir={config.private}/upper,workdir={config.private}/work"
    try:
        kernel.bind_idmapped(base.resolve(), lower, config.first_id, IDS_PER_VE)
        try:
            kernel.mount(f"ve-{config.ctid}", config.root, "overlay", options=options)
        finally:
            kernel.unmount(lower, lazily=True)  # the overlay holds its own copy of this mount
    except OSError as error:
        hint = "`vztmpl doctor` says what this host lacks"
        raise VEError(
            f"can't mount {config.root}: {error.strerror}", vz_code=codes.FS_CANTMOUNT, hint=hint
        ) from error
    finally:
        lower.rmdir()


def unmount_root(config: VEConfig) -> None:
    """Unmount VE_ROOT, however often it is mounted; VEError when something still uses it."""
    while os.path.ismount(config.root):
        try:
            kernel.unmount(config.root)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise VEError(
                f"can't unmount {config.root}: it is in use",
                vz_code=codes.FS_CANTUMOUNT,
                hint=f"`fuser -vm {config.root}` shows by whom",
            ) from error


def allocate_ids(node: Node, ctid: int) -> int:
    """Give a VE a range of host ids that no other VE of this node has; return its first.

    ``<state>/ids/<block>`` is a link whose target is the CTID that holds the block.
    """
    folder = node.state / "ids"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(node.locks / "ids.lck", wait=True):
        for step in range(_BLOCKS):
            block = (ctid + step) % _BLOCKS
            link = folder / str(block)
            if not link.is_symlink() or str(link.readlink()) == str(ctid):
                link.unlink(missing_ok=True)
                link.symlink_to(str(ctid))
                return FIRST_LOCAL_ID + block * IDS_PER_VE
    raise VEError("all ranges of user ids are taken", vz_code=codes.RESOURCE_ERROR)


def free_ids(node: Node, config: VEConfig) -> None:
    """Give a VE's range back."""
    block = (config.first_id - FIRST_LOCAL_ID) // IDS_PER_VE
    link = node.state / "ids" / str(block)
    if link.is_symlink() and str(link.readlink()) == str(config.ctid):
        link.unlink()
