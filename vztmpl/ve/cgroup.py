"""Control groups, version 1, 2 and both at once: where a VE's groups are, and moving into them.

On every kind of host a VE has a cgroup2 group of its own, ``vz/<CTID>``, which is delegated to its
init and is the root of its cgroup namespace. Where the v2 hierarchy has the controllers the
limits stand in the same group; on a v1 or hybrid host they stand in ``vz/<CTID>`` of each v1
hierarchy, outside the VE's view. conmon processes live in ``vz/conmon``.
"""

import errno
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes, moving

CONTROLLERS = ("memory", "pids", "cpu")
"""What the limits of a VE need."""
_WANTED = (*CONTROLLERS, "cpuset", "io")
_DELEGATED = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")  # cgroups(7)


class Hierarchies(NamedTuple):
    """Where the host has its cgroup file systems mounted."""

    v2: Path
    v1: Mapping[str, Path]
    """Controller (or ``name=systemd``) to mount point; empty on a v2 host."""

    @property
    def unified(self) -> bool:
        """Whether the controllers are those of version 2."""
        return "memory" not in self.v1


class Setting(NamedTuple):
    """One file of one controller, and what is written into it."""

    controller: str
    file: str
    value: str
    parameter: str
    """What the user calls it."""


class Group(NamedTuple):
    """The groups of one VE, or another set of groups with one name in all hierarchies."""

    hierarchies: Hierarchies
    name: str
    """Relative, as ``vz/101``."""

    @property
    def v2(self) -> Path:
        """The group in the v2 hierarchy."""
        return self.hierarchies.v2 / self.name

    def folder(self, controller: str) -> Path:
        """Return the folder in which a controller's files for this group stand."""
        if self.hierarchies.unified:
            return self.v2
        return self.hierarchies.v1[controller] / self.name

    def folders(self) -> list[Path]:
        """Return the group's folder in every hierarchy that has one."""
        every = (self.v2, *(mount / self.name for mount in self.hierarchies.v1.values()))
        return [folder for folder in dict.fromkeys(every) if folder.is_dir()]


def hierarchies(mountinfo: str) -> Hierarchies:
    """Find the cgroup mounts in the text of /proc/self/mountinfo (proc(5))."""
    v2 = next((path for path, _ in mounts(mountinfo, "cgroup2")), None)
    v1 = {
        word: path
        for path, options in mounts(mountinfo, "cgroup")
        for word in options.split(",")
        if word not in ("rw", "xattr")
    }
    if v2 is None:
        raise VEError(
            "no cgroup2 file system is mounted",
            vz_code=codes.BAD_KERNEL,
            hint="mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified",
        )
    return Hierarchies(v2, v1)


def mounts(mountinfo: str, kind: str) -> list[tuple[Path, str]]:
    """Return mount points and super block options of one kind of file system."""
    found = []
    for line in mountinfo.splitlines():
        place, _, filesystem = line.partition(" - ")
        if filesystem.split(" ", 1)[0] == kind:
            found.append((Path(place.split(" ")[4]), filesystem.split(" ")[-1]))
    return found


def host_hierarchies() -> Hierarchies:
    """Find the cgroup mounts of this host."""
    return hierarchies(Path("/proc/self/mountinfo").read_text())


def parent_name(tag: str) -> str:
    """Return the name of the group that holds all VEs of this node."""
    return f"vz-{tag}" if tag else "vz"


def of_ve(tag: str, ctid: int) -> Group:
    """Return the groups of a VE, whether they are there or not."""
    return Group(host_hierarchies(), f"{parent_name(tag)}/{ctid}")


def delegate(group: Group, owner: int) -> None:
    """Make the VE's cgroup2 group and give it to the VE's root.

    Where the controllers are version 2's it has them, and the VE divides what it is given among
    groups of its own.
    """
    group.v2.mkdir(parents=True, exist_ok=True)
    if group.hierarchies.unified:
        for above in (group.hierarchies.v2, group.v2.parent):
            _switch_on(above)
    for name in _DELEGATED:
        os.chown(group.v2 / name, owner, owner)


def write(group: Group, settings: Iterable[Setting]) -> None:
    """Put settings in force; VEError naming the parameter that the kernel refused."""
    for setting in settings:
        path = group.folder(setting.controller) / setting.file
        try:
            path.write_text(f"{setting.value}\n")
        except OSError as error:
            raise _refused(setting, path, error) from error


def enter(folder: Path) -> None:
    """Move this process into a group."""
    moving.finish()
    (folder / "cgroup.procs").write_text("0")


def move(pid: int, folder: Path) -> None:
    """Move a process into a group, which is made when it is not there; a gone process is fine."""
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(ProcessLookupError):
        (folder / "cgroup.procs").write_text(str(pid))


def members(group: Group) -> set[int]:
    """Return the processes in a group and the groups below it."""
    found: set[int] = set()
    for folder in group.folders():
        for procs in folder.rglob("cgroup.procs"):
            found |= {int(pid) for pid in _read(procs).split()}
    return found - {0}


def remove(group: Group) -> None:
    """Remove a group and the groups below it, once the processes in it are gone."""
    for folder in group.folders():
        below = sorted((path for path in folder.rglob("*/")), key=lambda path: -len(path.parts))
        for path in (*below, folder):
            _remove_one(path)


def remove_if_empty(folders: Iterable[Path]) -> None:
    """Remove groups that nobody uses any more."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            continue


def _switch_on(folder: Path) -> None:
    """Let the groups below a folder have the controllers that are there."""
    there = set((folder / "cgroup.controllers").read_text().split())
    there -= set((folder / "cgroup.subtree_control").read_text().split())
    if missing := [f"+{name}" for name in _WANTED if name in there]:
        (folder / "cgroup.subtree_control").write_text(" ".join(missing))


def _refused(setting: Setting, path: Path, error: OSError) -> VEError:
    if error.errno == errno.EBUSY:
        problem, hint = "more is in use and can't be freed", "stop something in the VE first"
    elif error.errno == errno.ENOENT:
        problem, hint = f"this host has no {path}", "`vztmpl doctor` says how to get the controller"
    else:
        problem, hint = f"{path}: {error.strerror}", ""
    code = codes.SET_IO if setting.parameter.startswith("io") else codes.SETUBC_ERROR
    return VEError(
        f"can't set {setting.parameter} to {setting.value}: {problem}", vz_code=code, hint=hint
    )


def _remove_one(folder: Path, patience_seconds: float = 2.0) -> None:
    """Remove one group; the kernel takes a moment to notice that its last process is gone."""
    until = time.monotonic() + patience_seconds
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > until:
                raise
            time.sleep(0.002)
        else:
            return


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the group was removed, or its kind has no such file (ENOTSUP: threaded)
        return ""
