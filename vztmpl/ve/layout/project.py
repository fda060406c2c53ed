"""Project quota of the host's ext4 or xfs: how overlay and simfs keep DISKSPACE and DISKINODES.

A VE's project is its CTID. The kernel needs CONFIG_QFMT_V2 (ext4) or CONFIG_XFS_QUOTA, and the file
system the mount option ``prjquota`` (ext4: the features ``project`` and ``quota`` too).
"""

from collections.abc import Sequence
from pathlib import Path

from vztmpl.filesystem import ProjectQuota, project_of, project_quota, set_project_quota
from vztmpl.run import run
from vztmpl.ve.config import VEConfig
from vztmpl.ve.layout import Usage

_WHY_NOT = (
    "its disk is mounted without project quota (prjquota), or the kernel has none;"
    " layouts btrfs and ploop need none"
)


def claim(config: VEConfig, folders: Sequence[Path]) -> None:
    """Have all that is and will be below ``folders`` counted for the VE, where that is possible."""
    if config.disk.bounded and project_quota(folders[0], config.ctid) is not None:
        missing = [folder for folder in folders if project_of(folder) != config.ctid]
        if missing:
            # 1: links and pipes have no project
            run(["chattr", "-R", "-f", "-p", str(config.ctid), "+P", "--", *missing], ok=(0, 1))


def bound(config: VEConfig, folders: Sequence[Path]) -> None:
    """Set the VE's limits; without project quota ``not_enforced`` says so."""
    if project_quota(folders[0], config.ctid) is None:
        return
    claim(config, folders)
    space, inodes = config.disk.space_kb or (0, 0), config.disk.inodes or (0, 0)
    hard = (config.disk.hard_kb, config.disk.hard_inodes)
    wanted = ProjectQuota(
        space_soft_kb=space[0] if hard[0] else 0,
        space_hard_kb=hard[0],
        inodes_soft=inodes[0] if hard[1] else 0,
        inodes_hard=hard[1],
    )
    set_project_quota(folders[0], config.ctid, wanted)


def not_enforced(config: VEConfig, folder: Path) -> dict[str, str]:
    """Say what is not kept, with ``folder`` or what it will stand in on a disk without quota."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    limits = {"diskspace": config.disk.hard_kb, "diskinodes": config.disk.hard_inodes}
    if not any(limits.values()) or project_quota(there, config.ctid) is not None:
        return {}
    return {name: _WHY_NOT for name, limit in limits.items() if limit}


def usage(config: VEConfig, folder: Path) -> Usage:
    """Say what the project uses."""
    quota = project_quota(folder, config.ctid) if project_of(folder) == config.ctid else None
    return Usage(quota.space_kb, quota.inodes) if quota else Usage(None, None)
