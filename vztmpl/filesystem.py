"""What the kernel does for a file system beside mounting it: swapped names, loop devices, quotas.

The owner of ioctl(2). Numbers and layouts: ``include/uapi/linux/{fs,loop,quota}.h``. Every function
raises OSError with the kernel's errno.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

_LOOP_CONTROL = "/dev/loop-control"
_LOOP_SET_CAPACITY = 0x4C07
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LO_FLAGS_AUTOCLEAR = 4
_LO_FLAGS_DIRECT_IO = 16
_LOOP_CONFIG = struct.Struct("=II52xI64s112x64x")  # fd, block size, flags, file name

_FS_IOC_FSGETXATTR = 0x801C581F
_FSXATTR = struct.Struct("=12xI12x")  # project id

_SYS_QUOTACTL_FD = 443
_PRJQUOTA = 2
_Q_GETQUOTA = 0x800007
_Q_SETQUOTA = 0x800008
_QIF_LIMITS = 1 | 4
_DQBLK = struct.Struct("=8QI4x")  # struct if_dqblk
_NO_QUOTA = (errno.ENOSYS, errno.ESRCH, errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP)

_libc = ctypes.CDLL(None, use_errno=True)


class ProjectQuota(NamedTuple):
    """Limits and use of one project on one file system; a limit of 0 is none. Space in KB."""

    space_soft_kb: int
    space_hard_kb: int
    inodes_soft: int
    inodes_hard: int
    space_kb: int = 0
    inodes: int = 0


def exchange(one: Path, other: Path) -> None:
    """Swap two names of one file system in one step; both have to be there."""
    names = (os.fsencode(one), os.fsencode(other))
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))


@contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """Yield a block device that is the file ``image``; it goes away with its last user.

    A mount made of it in the block keeps it. The kernel clears it also when we are killed. When the
    image has one already it is that one: two file systems in one image would destroy each other.
    """
    device, name = _shared(image) or _configured(image)
    try:
        yield name
    finally:
        os.close(device)


def loop_device_of(image: Path) -> str:
    """Return the loop device that is ``image`` now; empty when there is none."""
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # it may go at any time, or be a file that is removed
            if Path(backing.read_text().rstrip("\n")).samefile(image):
                return f"/dev/{backing.parent.parent.name}"
    return ""


def update_size(device: str) -> None:
    """Let a loop device have the size that its file has now."""
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _LOOP_SET_CAPACITY)
    finally:
        os.close(descriptor)


def project_of(folder: Path) -> int:
    """Return the project that a folder's use of space is counted for; 0 is none."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(descriptor, _FS_IOC_FSGETXATTR, bytes(_FSXATTR.size))
    except OSError as error:
        if error.errno not in _NO_QUOTA:
            raise
        return 0
    finally:
        os.close(descriptor)
    return int(_FSXATTR.unpack(answer)[0])


def project_quota(folder: Path, project: int) -> ProjectQuota | None:
    """Return a project's quota on the file system of ``folder``; None where there are none."""
    buffer = ctypes.create_string_buffer(_DQBLK.size)
    try:
        _quotactl(folder, _Q_GETQUOTA, project, buffer)
    except OSError as error:
        if error.errno not in _NO_QUOTA:
            raise
        return None
    hard, soft, space_bytes, inodes_hard, inodes_soft, inodes, *_ = _DQBLK.unpack(buffer.raw)
    return ProjectQuota(soft, hard, inodes_soft, inodes_hard, space_bytes >> 10, inodes)


def set_project_quota(folder: Path, project: int, quota: ProjectQuota) -> None:
    """Put a project's limits in force on the file system of ``folder``."""
    space = (quota.space_hard_kb, quota.space_soft_kb, 0)
    inodes = (quota.inodes_hard, quota.inodes_soft, 0)
    packed = _DQBLK.pack(*space, *inodes, 0, 0, _QIF_LIMITS)
    _quotactl(folder, _Q_SETQUOTA, project, ctypes.create_string_buffer(packed, len(packed)))


def _shared(image: Path) -> tuple[int, str] | None:
    """Open the loop device that is ``image`` already; from then on it stays."""
    if name := loop_device_of(image):
        device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
        if loop_device_of(image) == name:
            return device, name
        os.close(device)
    return None


def _configured(image: Path) -> tuple[int, str]:
    """Take a free loop device; others may be quicker to take the one that was free."""
    flags = _LO_FLAGS_AUTOCLEAR | _LO_FLAGS_DIRECT_IO
    name = os.fsencode(image)[-63:]
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    control = os.open(_LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        while True:
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(backing, 0, flags, name))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
                continue
            return device, path
    finally:
        os.close(control)
        os.close(backing)


def _quotactl(folder: Path, command: int, project: int, buffer: object) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        what = command << 8 | _PRJQUOTA
        if _libc.syscall(_SYS_QUOTACTL_FD, descriptor, what, project, buffer):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)
