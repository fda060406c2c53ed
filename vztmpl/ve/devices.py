"""Device nodes for one VE, made on the host and shown in the VE's /dev.

The root of a VE can make no nodes, and the host's own must not become its property. So each VE
gets nodes of its own, on a small tmpfs: systemd mounts /run without devices. They belong to the
host's root; the VE's root may use them through its group, and can't change their mode.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vztmpl import kernel
from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig
from vztmpl.ve.mounts import is_mounted
from vztmpl.ve.status import run_folder

if TYPE_CHECKING:
    from vztmpl.ve.isolation import Device

_FOR_EVERYBODY = ("fuse", "net/tun")  # their drivers check the user themselves


def place(node: Node, ctid: int) -> Path:
    """Return the folder of a VE's nodes."""
    return run_folder(node, ctid) / "devices"


def prepare(node: Node, ctid: int) -> None:
    """Make a place for the nodes of a VE in its run folder."""
    folder = place(node, ctid)
    folder.mkdir()
    kernel.mount("devices", folder, "tmpfs", kernel.MS_NOSUID, "mode=755,size=64k")


def provide(node: Node, config: VEConfig) -> Mapping[str, Path]:
    """Make the nodes that a VE's conf gives it; return them by their name below /dev."""
    wanted = {_name(each): each for each in config.isolation.nodes()} if config.isolation else {}
    folder = place(node, config.ctid)
    return {name: _made(folder / name, name, each, config) for name, each in wanted.items()}


def withdraw(node: Node, ctid: int) -> None:
    """Take the nodes of a VE away; none is fine."""
    folder = place(node, ctid)
    while is_mounted(folder):
        kernel.unmount(folder, lazily=True)


def _name(device: "Device") -> str:
    """Return a device's name below /dev; the kernel knows it when only its numbers are given."""
    if ":" not in device.where:
        return device.where
    kind, _, numbers = device.where.partition(":")
    about = Path(f"/sys/dev/{'block' if kind == 'b' else 'char'}/{numbers}/uevent")
    try:
        lines = about.read_text().splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        if line.startswith("DEVNAME="):
            return line.removeprefix("DEVNAME=")
    raise _missing(device.where)


def _made(path: Path, name: str, device: "Device", config: VEConfig) -> Path:
    try:
        found = Path(f"/dev/{name}").stat()
    except FileNotFoundError as error:
        raise _missing(f"/dev/{name}") from error
    if not (stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode)):
        raise _missing(f"/dev/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFMT(found.st_mode), found.st_rdev)
    bits = sum({"r": 4, "w": 2}[letter] for letter in device.access)
    os.chown(path, 0, config.first_id)
    path.chmod(bits * 0o10 + (bits if name in _FOR_EVERYBODY else 0))
    return path


def _missing(what: str) -> VEError:
    return VEError(
        f"this host has no device {what}",
        vz_code=codes.SET_DEVICES,
        hint="load its driver on the host, or take it out of DEVICES, DEVNODES or FEATURES",
    )
