"""ploop: the VE's files in an image of a hard size, ``root.hdd``: a sparse file with ext4 in it.

OpenVZ's image format had holes of its own; a raw file has the host's, and every tool can read it.
DISKSPACE is the size of the file system, DISKINODES its number of inodes, fixed when it is made.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import CommandError, VEError
from vztmpl.files import replaced_by
from vztmpl.filesystem import loop_device, loop_device_of, update_size
from vztmpl.run import run
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.layout import Usage, ext4
from vztmpl.ve.layout.copying import copy_image, room_for
from vztmpl.ve.mounts import is_mounted, source_of

STACKED = False
_IMAGE = "root.hdd"
_DEFAULT_KB = 10 << 20
_PATIENCE_SECONDS = 3  # a VE that has just ended takes its mounts with it
_ROUNDING = 1.02  # ext4 has a whole number of inodes in each of its groups


def fill(_node: Node, config: VEConfig, live: Path, tree: Path) -> None:
    """Make the image with the tree in it, in one go and without mounting anything."""
    image = live / _IMAGE
    with image.open("xb") as file:
        file.truncate((config.disk.hard_kb or _DEFAULT_KB) << 10)
    with room_for(image):
        run(ext4.make_command(image, tree, config.disk.hard_inodes))
        run(["sync", image])


def branch(config: VEConfig, source: Path, new: Path, name: str) -> None:  # noqa: ARG001
    """Copy the image; while the VE writes only a copy that shares its blocks is of one moment."""
    mounted = is_mounted(config.root)
    if mounted:
        run(["sync", "--file-system", config.root])
    else:
        _require_idle(source / _IMAGE)
    try:
        copy_image(source / _IMAGE, new / _IMAGE, share=mounted)
    except CommandError as error:
        if not mounted:
            raise
        raise VEError(
            "the container has to be stopped and unmounted: its disk can't share blocks",
            vz_code=codes.VE_RUNNING,
            hint=f"`vzctl stop {config.ctid}`, or have {config.private} on xfs or btrfs",
        ) from error


def mount(_node: Node, config: VEConfig, live: Path, root: Path, *, read_only: bool) -> None:
    """Mount the image; the loop device is gone with the mount."""
    image = live / _IMAGE
    if not ext4.read(image).clean:
        _require_idle(image)
        ext4.check(image)
    options: dict[str, str | None] = {"ro": None} if read_only else {"discard": None}
    with loop_device(image) as device:
        kernel.mount_idmapped("ext4", device, root, config.first_id, IDS_PER_VE, options=options)


@contextmanager
def tree(node: Node, config: VEConfig, live: Path) -> Iterator[Path]:
    """Mount the image with its own owners, for this process alone."""
    _require_idle(live / _IMAGE)
    place = node.run / f"tree-{config.ctid}"
    place.mkdir(parents=True, exist_ok=True)
    kernel.own_mount_namespace()
    try:
        with loop_device(live / _IMAGE) as device:
            kernel.mount(device, place, "ext4", kernel.MS_RDONLY)
        yield place
    finally:
        with suppress(OSError):  # nothing may stand there yet
            kernel.unmount(place, lazily=True)
        place.rmdir()


def bound(config: VEConfig, live: Path) -> None:
    """Give the file system the size of DISKSPACE: larger at any time, smaller when stopped."""
    image = live / _IMAGE
    wanted = (config.disk.hard_kb << 10) // ext4.BLOCK_BYTES
    now = ext4.read(image).blocks
    if not wanted or wanted == now:
        return
    if is_mounted(config.root):
        _grow_mounted(config, image, wanted, now)
        return
    _require_idle(image)
    if wanted > now:
        ext4.check(image)
        os.truncate(image, max(wanted * ext4.BLOCK_BYTES, image.stat().st_size))
        run(["resize2fs", image, str(wanted)])
    else:
        _shrink(config, image, wanted)


def not_enforced(config: VEConfig, live: Path) -> dict[str, str]:
    """Say when the image was made with another number of inodes."""
    wanted, image = config.disk.hard_inodes, live / _IMAGE
    has = ext4.read(image).inodes if image.exists() else 0
    if not wanted or not has or wanted <= has <= wanted * _ROUNDING:
        return {}
    return {"diskinodes": f"the image was made with {has} inodes; `vzctl convert` anew"}


def usage(config: VEConfig, live: Path) -> Usage:
    """Say how much of the file system is taken, its own tables included."""
    about = ext4.read(live / _IMAGE)
    free_blocks, free_inodes = about.free_blocks, about.free_inodes
    if is_mounted(config.root):
        now = os.statvfs(config.root)
        free_blocks, free_inodes = now.f_bfree, now.f_ffree
    used_kb = (about.blocks - free_blocks) * (ext4.BLOCK_BYTES >> 10)
    return Usage(used_kb, about.inodes - free_inodes)


def compact(node: Node, config: VEConfig, live: Path) -> None:  # noqa: ARG001
    """Punch holes where nothing is; e2fsck does it without mounting."""
    _require_idle(live / _IMAGE)
    ext4.check(live / _IMAGE, discard=True)


def _require_idle(image: Path) -> None:
    """VEError when the image is still mounted by somebody: a process may have mounts of its own."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while device := loop_device_of(image):
        if time.monotonic() > until:
            raise VEError(
                f"{image} is still mounted by a process with a mount namespace of its own",
                vz_code=codes.FS_MOUNTED,
                hint=f"`grep -l {device} /proc/[0-9]*/mountinfo` tells which",
            )
        time.sleep(0.02)


def _grow_mounted(config: VEConfig, image: Path, wanted: int, now: int) -> None:
    size_bytes = image.stat().st_size
    try:
        if wanted < now:
            raise VEError(
                "an image gets smaller only when the container is stopped and unmounted",
                vz_code=codes.RESIZE_IMAGE_ERROR,
                hint=f"vzctl stop {config.ctid}",
            )
        device = source_of(config.root)
        os.truncate(image, wanted * ext4.BLOCK_BYTES)
        update_size(device)
        run(["resize2fs", device])
    except CommandError as error:
        os.truncate(image, size_bytes)
        raise VEError(
            "this kernel does not let the file system grow while it is mounted",
            vz_code=codes.RESIZE_IMAGE_ERROR,
            hint=f"`vzctl stop {config.ctid}` and set it then",
        ) from error


def _shrink(config: VEConfig, image: Path, wanted: int) -> None:
    """Shrink a copy, which then takes the image's place: moving blocks must not be cut short."""
    with replaced_by(image) as smaller:
        copy_image(image, smaller)
        ext4.check(smaller)
        try:
            run(["resize2fs", "-f", smaller, str(wanted)])  # -f: its own estimate is too cautious
            ext4.check(smaller)
        except CommandError as error:
            raise VEError(
                f"what the container has does not fit into {config.disk.hard_kb} KB",
                vz_code=codes.RESIZE_IMAGE_ERROR,
                hint="remove files in it first, or give it more",
            ) from error
        os.truncate(smaller, wanted * ext4.BLOCK_BYTES)
