"""The few system calls that Python 3.11 lacks: mounts, namespaces, BPF. The only user of ctypes.

Numbers and layouts: ``include/uapi/linux/{mount,sched,bpf}.h``; calls 428 and up have the same
number on every architecture. Every function raises OSError with the kernel's errno.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 1 << 1
MS_NODEV = 1 << 2
MS_NOEXEC = 1 << 3
MS_REMOUNT = 1 << 5
MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_SLAVE = 1 << 19
_MNT_DETACH = 2

_SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
_BPF_ATTR_BYTES = 152
_CAP_SYS_RESOURCE = 24
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
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


def bind_idmapped(
    source: Path,
    target: Path,
    first_id: int,
    count: int,
    *,
    stored_first: int = 0,
    read_only: bool = True,
) -> None:
    """Mount ``source`` at ``target`` with its owners ``stored_first``… shown as ``first_id``….

    Needs a file system with FS_ALLOW_IDMAP (ext4, xfs, btrfs, tmpfs from 6.3 on); EINVAL otherwise.
    """
    tree = open_tree(source)
    _place_idmapped(tree, target, (stored_first, first_id, count), read_only=read_only)


def mount_idmapped(
    kind: str,
    source: str,
    target: Path,
    first_id: int,
    count: int,
    *,
    options: Mapping[str, str | None],
    read_only: bool = False,
) -> None:
    """Mount a file system with its owners 0… shown as ``first_id``…, in one step.

    Options without a value are None. Killed half-way it leaves nothing: until it stands at its
    place the mount belongs to this process alone.
    """
    made = _call(_SYS_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC)
    try:
        for name, value in {"source": source, **options}.items():
            how = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
            text = None if value is None else value.encode()
            _call(_SYS_FSCONFIG, made, how, name.encode(), text, 0)
        _call(_SYS_FSCONFIG, made, _FSCONFIG_CMD_CREATE, None, None, 0)
        tree = _call(_SYS_FSMOUNT, made, _FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(made)
    _place_idmapped(tree, target, (0, first_id, count), read_only=read_only)


def _place_idmapped(tree: int, target: Path, ids: tuple[int, int, int], *, read_only: bool) -> None:
    """Put a mount that is nowhere yet at its place, and close its descriptor."""
    try:
        stored_first, first_id, count = ids
        with user_namespace(first_id, count, stored_first=stored_first) as namespace:
            attributes = _MOUNT_ATTR_IDMAP | (_MOUNT_ATTR_RDONLY if read_only else 0)
            wanted = _MountAttributes(attr_set=attributes, userns_fd=namespace)
            size = ctypes.sizeof(wanted)
            _call(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(wanted), size)
        move_mount(tree, target)
    finally:
        os.close(tree)


def open_tree(source: Path) -> int:
    """Return a descriptor of a mount of ``source`` that is nowhere yet."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    return _call(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags)


def move_mount(tree: int, target: Path) -> None:
    """Put a mount from ``open_tree`` at ``target``."""
    where = os.fsencode(target)
    _call(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, where, _MOVE_MOUNT_F_EMPTY_PATH)


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
def user_namespace(
    first_id: int, count: int, limits: Mapping[int, int] | None = None, *, stored_first: int = 0
) -> Iterator[int]:
    """Yield a user namespace's descriptor; ``stored_first``… in it are the host's ``first_id``….

    With ``limits`` (``resource.RLIMIT_…`` to number) it belongs to ``first_id``, and the kernel
    holds all users in it together to those of them that it counts by user (``kernel/ucount.c``).
    """
    with child_that(lambda: _found_namespace(first_id, limits or {})) as child:
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{kind}").write_text(f"{stored_first} {first_id} {count}")
        namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield namespace
    finally:
        os.close(namespace)


def may_raise_limits() -> bool:
    """Say whether this process has CAP_SYS_RESOURCE."""
    status = Path("/proc/self/status").read_text()
    effective = status.partition("CapEff:")[2].split(maxsplit=1)[0]
    return bool(int(effective, 16) >> _CAP_SYS_RESOURCE & 1)


def bpf(command: int, layout: str, *fields: int | bytes | bytearray) -> int:
    """Load, attach or look up BPF programs and maps; the commands are the kernel's.

    ``layout`` is struct's for the attribute; zeros follow. In place of bytes their address is
    passed; what the kernel writes there comes back in a bytearray.
    """
    buffers = [
        (ctypes.c_char * max(1, len(field))).from_buffer_copy(field or b"\0")
        for field in fields
        if not isinstance(field, int)
    ]
    places = iter(buffers)
    words = [
        field if isinstance(field, int) else ctypes.addressof(next(places)) for field in fields
    ]
    attribute = struct.pack(layout, *words).ljust(_BPF_ATTR_BYTES, b"\0")
    number = _SYS_BPF[os.uname().machine]
    result = _check(_libc.syscall(number, command, attribute, len(attribute)), "bpf")
    for field, buffer in zip((f for f in fields if not isinstance(f, int)), buffers, strict=True):
        if isinstance(field, bytearray):
            field[:] = buffer.raw
    return result


def _found_namespace(first_id: int, limits: Mapping[int, int]) -> None:
    """Make a user namespace of this process, as the user it shall belong to."""
    if limits:
        import resource

        for kind, number in limits.items():
            resource.setrlimit(kind, (number, number))
        # Keeps our capabilities while the user changes: hosts may refuse namespaces without them
        _check(_libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "securebits")
        os.setegid(first_id)
        os.seteuid(first_id)
    unshare(CLONE_NEWUSER)


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
