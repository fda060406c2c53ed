"""Comparing two trees down to the last attribute: a base with what its template holds."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20


def differences(wanted: Path, found: Path) -> Iterator[str]:
    """Yield how ``found`` differs from ``wanted``, a line each."""
    left = [Path()]
    while left:
        below = left.pop()
        names, there = _names(wanted / below), _names(found / below)
        for name in sorted(names | there):
            path = below / name
            if name not in there:
                yield f"{path} is missing"
            elif name not in names:
                yield f"{path} does not belong there"
            elif problem := _difference(wanted / path, found / path):
                yield f"{path} has another {problem}"
            elif (wanted / path).is_dir() and not (wanted / path).is_symlink():
                left.append(path)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _difference(wanted: Path, found: Path) -> str:
    """Say in what two files of one name differ; empty when they are the same."""
    one, other = _facts(wanted), _facts(found)
    for what, value in one.items():
        if value != other[what]:
            return what
    regular = stat.S_ISREG(wanted.lstat().st_mode)
    return "" if not regular or _same_content(wanted, found) else "content"


def _facts(path: Path) -> dict[str, object]:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    timeless = kind in (stat.S_IFDIR, stat.S_IFLNK)  # a folder's time tells of no change in it
    return {
        "type": kind,
        "owner": (status.st_uid, status.st_gid),
        "mode": status.st_mode,
        "set of attributes": _attributes(path),
        "target": path.readlink() if kind == stat.S_IFLNK else None,
        "time": None if timeless else int(status.st_mtime),
    }


def _attributes(path: Path) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def _same_content(wanted: Path, found: Path) -> bool:
    with wanted.open("rb") as one, found.open("rb") as other:
        while True:
            left, right = one.read(_CHUNK), other.read(_CHUNK)
            if left != right:
                return False
            if not left:
                return True
