"""Layers of an overlay joined into one, as overlayfs itself would show them.

Source of what stands in a layer: ``Documentation/filesystems/overlayfs.rst``. Files are linked, not
copied: it costs no room, hard links stay, and the layers are whole until the new one is complete.
"""

import os
import shutil
import stat
from pathlib import Path

_OPAQUE = "trusted.overlay.opaque"


def join_layers(layers: list[Path], target: Path) -> None:
    """Put layers, topmost first, into the empty folder ``target``."""
    for layer in reversed(layers):
        _apply(layer, target)


def _apply(layer: Path, target: Path) -> None:
    """Put one folder of a layer over what ``target`` holds from the layers below."""
    for entry in os.scandir(layer):
        there = target / entry.name
        if not entry.is_dir(follow_symlinks=False):
            _clear(there)
            os.link(entry.path, there, follow_symlinks=False)
            continue
        hides = _is_opaque(entry.path) or (os.path.lexists(there) and not _is_folder(there))
        if hides:
            _clear(there)
        there.mkdir(exist_ok=True)
        _apply(Path(entry.path), there)
        if hides:
            os.setxattr(there, _OPAQUE, b"y")
    about = layer.stat()
    os.chown(target, about.st_uid, about.st_gid)
    shutil.copystat(layer, target)


def _clear(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _is_opaque(path: str) -> bool:
    return _OPAQUE in os.listxattr(path, follow_symlinks=False)
