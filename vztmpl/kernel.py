"""The few system calls that Python 3.11 lacks: mounts and namespaces. The only user of ctypes.

Numbers and layouts: ``include/uapi/linux/{mount,sched}.h``; calls 428 and up have the same
number on every architecture. Every function raises OSError with the kernel's errno.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_SLAVE = 1 << 19
_MNT_DETACH = 2

_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_IDMAP = 0x100000

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def unshare(flags: int) -> None:
    """Move this process into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def set_namespace(path: Path, kind: int) -> None:
    """Move this process into the namespace that a /proc/PID/ns file stands for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, kind), path)
    finally:
        os.close(descriptor)


def own_mount_namespace() -> None:
    """Give this process its own mounts: the host's changes arrive here, none go back."""
    unshare(CLONE_NEWNS)
    mount("none", Path("/"), "", MS_REC | MS_SLAVE)


def mount(source: str | Path, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount a file system."""
    texts = [os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), options.encode()), target)


def unmount(target: Path, *, lazily: bool = False) -> None:
    """Take a mount away; ``lazily`` detaches it at once, whoever uses it."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH if lazily else 0), target)


def bind_idmapped(source: Path, target: Path, first_id: int, count: int) -> None:
    """Mount ``source`` read-only at ``target`` with its owners 0… shown as ``first_id``….

    Needs a file system with FS_ALLOW_IDMAP (ext4, xfs, btrfs, tmpfs from 6.3 on); EINVAL otherwise.
    """
    tree = _call(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    try:
        with _user_namespace(first_id, count) as namespace:
            wanted = _MountAttributes(
                attr_set=_MOUNT_ATTR_IDMAP | _MOUNT_ATTR_RDONLY, userns_fd=namespace
            )
            size = ctypes.sizeof(wanted)
            _call(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size)
        where = os.fsencode(target)
        _call(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, where, _MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


@contextmanager
def child_that(enters: Callable[[], None]) -> Iterator[int]:
    """Yield the pid of a child that called ``enters`` and stays as it then is until the block ends.

    An OSError in the child is raised here.
    """
    said_read, said_write = os.pipe()
    done_read, done_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(done_write)
        try:
            enters()
            os.write(said_write, b"0 ")
            os.read(done_read, 1)
        except OSError as error:
            os.write(said_write, f"{error.errno} {error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(said_write)
    os.close(done_read)
    try:
        number, _, text = os.read(said_read, 4096).decode().partition(" ")
        if number != "0":
            raise OSError(int(number or errno.ECHILD), text)
        yield child
    finally:
        os.close(said_read)
        os.close(done_write)
        os.waitpid(child, 0)


@contextmanager
def _user_namespace(first_id: int, count: int) -> Iterator[int]:
    """Yield a descriptor of a user namespace in which 0… are the host's ``first_id``…."""
    with child_that(lambda: unshare(CLONE_NEWUSER)) as child:
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{kind}").write_text(f"0 {first_id} {count}")
        namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield namespace
    finally:
        os.close(namespace)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    return _check(result, arguments[1])


def _check(result: int, what: object) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(
            number,
            f"{os.strerror(number)}: {os.fsdecode(what) if isinstance(what, bytes) else what}",
        )
    return result
