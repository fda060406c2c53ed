"""The package manager that a tree has itself, run inside the tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vztmpl.build.chroot import give_resolver, put, run_inside
from vztmpl.build.meaning import explained
from vztmpl.build.parts import TreeFile
from vztmpl.errors import VztmplError
from vztmpl.progress import Progress

_NO_DAEMONS = TreeFile(path="/usr/sbin/policy-rc.d", content="#!/bin/sh\nexit 101\n", mode=0o755)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manager:
    update: tuple[str, ...]
    install: tuple[str, ...]
    remove: tuple[str, ...]


_MANAGERS = {
    "apt-get": _Manager(
        update=("apt-get", "update", "--error-on=any"),
        install=("apt-get", "install", "--yes", "--no-install-recommends", "--"),
        remove=("dpkg", "--purge", "--"),
    ),
    "dnf": _Manager(
        update=("dnf", "makecache"),
        install=("dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False", "--"),
        remove=("rpm", "--erase", "--"),
    ),
    "zypper": _Manager(
        update=("zypper", "--non-interactive", "refresh"),
        install=("zypper", "--non-interactive", "install", "--no-recommends", "--"),
        remove=("rpm", "--erase", "--"),
    ),
    "pacman": _Manager(
        update=("pacman", "--sync", "--refresh", "--noconfirm"),
        install=("pacman", "--sync", "--noconfirm", "--needed", "--"),
        remove=("pacman", "--remove", "--nosave", "--noconfirm", "--"),
    ),
    "apk": _Manager(
        update=("apk", "update", "--no-cache"),
        install=("apk", "add", "--no-cache"),
        remove=("apk", "del", "--no-cache"),
    ),
}
_FIND = 'for name; do command -v "$name" >/dev/null && echo "$name" && break; done; :'


def bring_in(tree: Path, packages: Sequence[str], progress: Progress) -> None:
    """Install packages from the repositories that the tree knows; no packages, no work."""
    if packages:
        manager = _manager(tree)
        give_resolver(tree)
        if manager is _MANAGERS["apt-get"]:
            put(tree, _NO_DAEMONS)
        with explained():
            run_inside(tree, manager.update, network=True, progress=progress)
            run_inside(tree, [*manager.install, *packages], network=True, progress=progress)


def take_out(tree: Path, packages: Sequence[str], progress: Progress) -> None:
    """Remove packages; CommandError when others need them."""
    if packages:
        run_inside(tree, [*_manager(tree).remove, *packages], progress=progress)


def _manager(tree: Path) -> _Manager:
    found = run_inside(tree, ["sh", "-c", _FIND, "sh", *_MANAGERS]).strip()
    if not found:
        raise VztmplError(
            "the tree has no package manager", hint=f"one of {', '.join(_MANAGERS)} is needed"
        )
    return _MANAGERS[found]
