"""What is mounted where. os.path.ismount does not see a folder bound from its own file system."""

import os
from pathlib import Path

_BLANKS = " \t\n\\"


def is_mounted(path: Path) -> bool:
    """Say whether something is mounted at ``path``; what is not there is not mounted."""
    try:
        return _mount_id(path) != _mount_id(path.parent)
    except FileNotFoundError:
        return False


def source_of(mount_point: Path) -> str:
    """Return what stands as the source of a mount, such as ``/dev/loop0``; empty for none."""
    text = str(mount_point)
    escaped = "".join(f"\\{ord(each):03o}" if each in _BLANKS else each for each in text)
    found = ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if fields.split()[4] == escaped:
            found = rest.split()[1]
    return found


def _mount_id(path: Path) -> bytes:
    """Return a line of proc_pid_fdinfo(5); without pathlib, as vzlist asks of every VE."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    info = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(info, 512)
    finally:
        os.close(info)
        os.close(descriptor)
    return next(line for line in text.splitlines() if line.startswith(b"mnt_id:"))
