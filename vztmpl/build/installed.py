"""Which packages a tree has and how new they are, by the databases of its package manager."""

import os
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

from vztmpl.build import rpmdb
from vztmpl.build.chroot import run_inside
from vztmpl.errors import VztmplError

_DPKG = "var/lib/dpkg/status"
_PACMAN = "var/lib/pacman/local"
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def packages(tree: Path) -> dict[str, str]:
    """Return the installed packages, name (with ``:arch`` for dpkg, ``.arch`` for rpm) to version.

    A tree without a package manager has none.
    """
    if (tree / _DPKG).exists():
        return dpkg_packages(tree)
    if rpmdb.place(tree):
        return {name: version for name, version, _ in rpmdb.rows(tree)}
    return {entry["name"]: entry["version"] for entry in (*_pacman(tree), *_apk(tree))}


def epoch(tree: Path) -> int:
    """Return when the newest package was built, or else its archive or image was made.

    In seconds since 1970; never the clock: a function of what was installed.
    """
    built = [built for *_, built in rpmdb.rows(tree)] if rpmdb.place(tree) else []
    built += [int(entry["built"]) for entry in (*_pacman(tree), *_apk(tree)) if "built" in entry]
    return max(built) if built else release_date(tree) or _newest_file(tree)


def dpkg_packages(tree: Path) -> dict[str, str]:
    """Return what dpkg has installed, ``name:arch`` to version."""
    listed = run_inside(
        tree, ["dpkg-query", "--show", "--showformat=${Package}:${Architecture} ${Version}\n"]
    )
    return dict(line.split(" ", 1) for line in listed.splitlines())


def release_date(tree: Path) -> int:
    """Return the newest ``Date:`` of apt's Release files; 0 when there are none."""
    dates = [
        line.partition(":")[2].strip()
        for release in (tree / "var/lib/apt/lists").glob("*Release")
        for line in release.read_text(errors="replace").splitlines()[:40]
        if line.startswith("Date:")
    ]
    return max((int(parsedate_to_datetime(date).timestamp()) for date in dates), default=0)


def pacman_entry(desc: str) -> dict[str, str]:
    """Read an entry of pacman's databases: ``%KEY%``, its first value (alpm's be_local.c)."""
    return dict(re.findall(r"^%(\w+)%\n(.*)$", desc, re.MULTILINE))


def _pacman(tree: Path) -> Iterator[dict[str, str]]:
    if (tree / _PACMAN).is_dir():
        for desc in _text(tree, f"/{_PACMAN}/*/desc").split("%NAME%")[1:]:
            entry = pacman_entry(f"%NAME%{desc}")
            yield {"name": entry["NAME"], "version": entry["VERSION"], "built": entry["BUILDDATE"]}


def _apk(tree: Path) -> Iterator[dict[str, str]]:
    """Read apk's database: paragraphs of ``P:name``, ``V:version``, ``t:built`` (apk-v2(5))."""
    keys = {"P": "name", "V": "version", "t": "built"}
    for path in _APK:
        if (tree / path).exists():
            for paragraph in filter(str.strip, _text(tree, f"/{path}").split("\n\n")):
                lines = (line.partition(":") for line in paragraph.splitlines())
                yield {keys[key]: value for key, _, value in lines if key in keys}
            return


def _text(tree: Path, pattern: str) -> str:
    """Read files from inside the tree, so that no link in it leads out."""
    return run_inside(tree, ["sh", "-c", f"cat {pattern}"])


def _newest_file(tree: Path) -> int:
    times = [
        int((Path(folder) / name).lstat().st_mtime)
        for folder, _, names in os.walk(tree)
        for name in names
    ]
    if not times:
        raise VztmplError("the bootstrapper left an empty tree")
    return max(times)
