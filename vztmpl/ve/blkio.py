"""A VE's share of the disk that its private area is on: weight, bytes and requests a second.

Sources: cgroup-v2.rst (io.max), cgroup-v1/blkio-controller.rst, block/bfq-iosched.rst of the
kernel; the weights of ioprio are libvzctl's.
"""

import os
from pathlib import Path
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.cgroup import Hierarchies, Setting
from vztmpl.ve.config import VEConfig

_WEIGHTS = (320, 365, 410, 460, 500, 550, 600, 640)
_USUAL = 4
BLOCK = Path("/sys/dev/block")


class Disk(NamedTuple):
    """A whole disk, as cgroups name it."""

    number: str
    """``254:0``"""
    folder: Path
    """In sysfs."""


def own(config: VEConfig) -> tuple[str, int, int]:
    """Return the settings of a VE for the disk; all are empty or zero where there are none."""
    priority = "" if config.ioprio is None else str(config.ioprio)
    return priority, config.iolimit, config.iopslimit


def settings(config: VEConfig, disk: Disk, *, unified: bool) -> list[Setting]:
    """Return a VE's settings for a disk. Reading and writing are bounded each for itself."""
    controller = "io" if unified else "blkio"
    priority = _USUAL if config.ioprio is None else config.ioprio
    weight = Setting(controller, f"{controller}.bfq.weight", str(_WEIGHTS[priority]), "ioprio")
    found = [weight] if _scheduler(disk) == "bfq" else []
    if unified:
        speed, requests = config.iolimit or "max", config.iopslimit or "max"
        value = f"{disk.number} rbps={speed} wbps={speed} riops={requests} wiops={requests}"
        return [*found, Setting("io", "io.max", value, "iolimit")]
    for name, limit in (("bps", config.iolimit), ("iops", config.iopslimit)):
        for way in ("read", "write"):
            file = f"blkio.throttle.{way}_{name}_device"
            parameter = "iolimit" if name == "bps" else "iopslimit"
            found.append(Setting("blkio", file, f"{disk.number} {limit}", parameter))
    return found


def disk_of(config: VEConfig, hierarchies: Hierarchies) -> Disk:
    """Return the disk of a VE; VEError when it can't be shared out as the VE's settings say."""
    if hierarchies.unified:
        there = "io" in _read(hierarchies.v2 / "cgroup.controllers").split()
    else:
        there = "blkio" in hierarchies.v1
    if not there:
        raise _impossible("the kernel has no controller for disks", "")
    disk = _disk(config.private)
    if config.ioprio is not None and (scheduler := _scheduler(disk)) != "bfq":
        hint = f"echo bfq > /sys/block/{disk.folder.name}/queue/scheduler"
        raise _impossible(
            f"ioprio needs the bfq scheduler, {disk.folder.name} has {scheduler or 'none'}", hint
        )
    return disk


def _disk(path: Path, block: Path = BLOCK) -> Disk:
    while not path.exists():  # the private area is still to be made
        path = path.parent
    number = path.stat().st_dev
    if os.major(number) == 0:  # btrfs, or a file system without a disk
        source = _source(path, Path("/proc/self/mountinfo").read_text())
        number = source.stat().st_rdev if source.is_block_device() else 0
    folder = block / f"{os.major(number)}:{os.minor(number)}"
    if not number or not folder.exists():
        raise _impossible(f"{path} is on no disk", "move VE_PRIVATE to a file system on a disk")
    folder = folder.resolve()
    if (folder / "partition").exists():
        folder = folder.parent
    return Disk((folder / "dev").read_text().strip(), folder)


def _source(path: Path, mountinfo: str) -> Path:
    """Return what the file system of a path is mounted from (proc(5))."""
    best, source = Path("/"), Path("none")
    for line in mountinfo.splitlines():
        place, _, filesystem = line.partition(" - ")
        where = Path(place.split(" ")[4])
        if path.is_relative_to(where) and where.is_relative_to(best):
            best, source = where, Path(filesystem.split(" ")[1])
    return source


def _scheduler(disk: Disk) -> str:
    words = _read(disk.folder / "queue/scheduler").split()
    return next((word.strip("[]") for word in words if word.startswith("[")), "")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _impossible(problem: str, hint: str) -> VEError:
    return VEError(f"the disk can't be limited: {problem}", vz_code=codes.SET_IO, hint=hint)
