"""The database of rpm in a tree: made by the host's rpm, then handed over to the tree's own.

Distributions disagree on where it stands and in which format (``%_dbpath``, ``%_db_backend``), and
Debian's rpm would put it into root's home. The tree's own rpm knows best: when there is one, it
writes the database anew.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copyfileobj

from vztmpl.build.chroot import inside, run_inside
from vztmpl.errors import during
from vztmpl.progress import Progress
from vztmpl.run import confined, piped, run

PLACE = "usr/lib/sysimage/rpm"
_OTHER_PLACE = "var/lib/rpm"
_INSTALLED_AT = "86400"
_FORMAT = "%{NAME}.%{ARCH}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{BUILDTIME}\\n"
_OWN_IMPORT = """
rm -rf "/$1"
mkdir -p "$(/usr/bin/rpm --eval '%{_dbpath}')"
/usr/bin/rpmdb --initdb
/usr/bin/rpmdb --importdb
"""
_OWN_EXPORT = """
/usr/bin/rpmdb --exportdb
rm -rf "$(/usr/bin/rpm --eval '%{_dbpath}')"
"""
_HOST_IMPORT = 'export=$1; shift; "$@" --initdb; exec "$@" --importdb <"$export"'
_HOST_EXPORT = 'export=$1; shift; exec "$@" --exportdb >"$export"'


def place(tree: Path) -> str:
    """Return where in the tree the database is; empty when there is none."""
    for folder in (PLACE, _OTHER_PLACE):
        if any((tree / folder).glob("*[pP]ackages*")) or any((tree / folder).glob("rpmdb.sqlite")):
            return folder
    return ""


def environment(home: Path) -> dict[str, str]:
    """Return what rpm, dnf and zypper have to be run with; ``home`` has their macros.

    Without SOURCE_DATE_EPOCH the database would hold the time of day.
    """
    (home / ".rpmmacros").write_text(f"%_dbpath /{PLACE}\n")
    return {"HOME": str(home), "SOURCE_DATE_EPOCH": _INSTALLED_AT}


def rows(tree: Path) -> list[tuple[str, str, int]]:
    """Return the installed packages as (name.arch, version, built at); keys are none."""
    query = ["-qa", "--queryformat", _FORMAT]
    if _has_rpm(tree):
        listed = run_inside(tree, ["/usr/bin/rpm", *query])
    else:
        listed = run(confined([*_host_rpm("rpm", tree), *query], network=False))
    lines = sorted(line for line in listed.splitlines() if "\t" in line)  # and no warnings
    cells = (line.split("\t") for line in lines)
    return [
        (name, version, int(built))
        for name, version, built in cells
        if not name.startswith("gpg-pubkey.")
    ]


def erase(tree: Path, packages: Sequence[str], env: Mapping[str, str], progress: Progress) -> None:
    """Remove packages; CommandError when others need them. ``env`` is of ``environment``."""
    if packages:
        argv = [*_host_rpm("rpm", tree), "--erase", "--", *packages]
        run(confined(argv, network=False), env=env, on_line=progress.note)


def take_back(tree: Path, work: Path) -> None:
    """Turn what ``hand_over`` did around, so that the host's rpm can go on."""
    if not _has_rpm(tree) or not place(tree):
        return
    with during("taking the database back from the tree's own rpm"):
        with (
            (work / "rpmdb").open("wb") as export,
            piped(inside(tree, ["sh", "-euc", _OWN_EXPORT])) as exported,
        ):
            copyfileobj(exported, export)
        (tree / PLACE).mkdir(parents=True, exist_ok=True)
        _host_rpmdb(_HOST_IMPORT, tree, work)


def hand_over(tree: Path, work: Path) -> None:
    """Let the tree's own rpm, if there is one, write the database in its place and format."""
    if _has_rpm(tree):
        with during("handing the database over to the tree's own rpm"):
            _host_rpmdb(_HOST_EXPORT, tree, work)
            take = inside(tree, ["sh", "-euc", _OWN_IMPORT, "sh", PLACE])
            with (work / "rpmdb").open("rb") as export, piped(take, feed=True) as pipe:
                copyfileobj(export, pipe)
    for left in (tree / place(tree)).glob("rpmdb.sqlite-*"):  # of SQLite's, and never the same
        if left.suffix == ".sqlite-shm" or not left.stat().st_size:
            left.unlink()


def _host_rpmdb(script: str, tree: Path, work: Path) -> None:
    words = ["sh", "-euc", script, "sh", str(work / "rpmdb"), *_host_rpm("rpmdb", tree)]
    run(confined(words, network=False))


def _host_rpm(program: str, tree: Path) -> list[str]:
    return [program, f"--root={tree}", f"--dbpath=/{PLACE}"]


def _has_rpm(tree: Path) -> bool:
    return (tree / "usr/bin/rpm").is_file()
