"""The wait of the first move between control groups, passed while Python reads our modules.

The first process that is moved after a while waits for all processors to pass through the kernel's
scheduler, 4 to 18 ms; the next ones don't. So a thread moves us into the group that we are in. It
has to be over before we really go elsewhere: late, it would take us back.
"""

import os
from _thread import allocate_lock, start_new_thread
from contextlib import suppress

_under_way = allocate_lock()


def prepare() -> None:
    """Begin to wait; nothing depends on it."""
    _under_way.acquire()
    os.register_at_fork(before=finish)
    try:
        start_new_thread(_move, ())
    except RuntimeError:  # we may have no more threads
        _under_way.release()


def finish() -> None:
    """Return when it is safe to move this process, or to fork."""
    with _under_way:
        pass


def _move() -> None:
    try:
        own = _read("/proc/self/cgroup").rpartition("0::")[2].strip()
        for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):  # a hybrid host, one of v2
            with suppress(OSError):
                _write(f"{top}{own}/cgroup.procs", b"0")
    finally:
        _under_way.release()


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096).decode()
    finally:
        os.close(descriptor)


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
