"""Reading where a tree comes from: package repositories, imported file systems, their keys."""

import re
from pathlib import Path

from vztmpl.build.cell import Cell, content, matching
from vztmpl.build.parts import ARMOUR, Checked, Key, Parts, Repository, Source, as_text
from vztmpl.table import Table

_NAME = re.compile("[a-z0-9][a-z0-9.-]*")
_SHA256 = re.compile("[0-9a-f]{64}")
_URL = re.compile(r"[a-z][a-z+-]*:[^\s\x00-\x1f]+")
_WORD = re.compile(r"[A-Za-z0-9./][A-Za-z0-9._/-]*")


def repository(entry: Table, folder: Path, cell: Cell) -> Parts:
    """Read one of ``[[repositories]]``."""
    name = entry.take("name", str)
    if not _NAME.fullmatch(name):
        raise entry.error("name", f"must be small letters, digits, `-` and `.`, not {name!r}")
    checks = entry.one_or_more("check") or tuple(Checked)
    if unknown := set(checks) - set(Checked):
        raise entry.error("check", f"may hold {', '.join(Checked)}, not {min(unknown)!r}")
    found = Repository(
        name=name,
        url=cell.filled(entry, "url", entry.take("url", str)).rstrip("/"),
        suites=tuple(
            cell.filled(entry, "suites", suite)
            for suite in entry.one_or_more("suites") or ("{suite}",)
        ),
        components=entry.strings("components"),
        key=_key(entry, folder, cell),
        checked=tuple(sorted(Checked(check) for check in set(checks))),
        extra=entry.take("extra", bool, default=False),
    )
    if not _URL.fullmatch(found.url):
        raise entry.error("url", f"must be a URL like https://…, not {found.url!r}")
    for key in ("suites", "components"):
        if wrong := next((word for word in getattr(found, key) if not _WORD.fullmatch(word)), ""):
            raise entry.error(key, f"{wrong!r} is not one")
    return Parts(repositories=[found])


def source(entry: Table, folder: Path, cell: Cell) -> Parts:
    """Read one of ``[[source]]``."""
    url = _place(cell.filled(entry, "url", entry.take("url", str)), folder)
    signature = cell.filled(entry, "signature", entry.take("signature", str, ""), url=url)
    found = Source(
        url=url,
        sha256=matching(entry, "sha256", _SHA256, "64 hex digits"),
        signature=_place(signature, folder),
        key=_key(entry, folder, cell),
    )
    if bool(found.signature) != bool(found.key):
        raise entry.error("signature, key", "belong together: give both or neither")
    if not (found.sha256 or found.signature):
        raise entry.error("url", "must be pinned by `sha256`, or by `signature` and `key`")
    return Parts(sources=[found])


def _place(url: str, folder: Path) -> str:
    """Make a path beside the recipe absolute; leave URLs as they are."""
    if url.startswith("oci:"):
        return f"oci:{folder / url.removeprefix('oci:')}"
    return url if not url or _URL.match(url) else str(folder / url)


def _key(entry: Table, folder: Path, cell: Cell) -> Key | None:
    """Read a key: its armour, or all of some files that are there; one of them has to be."""
    places = [cell.filled(entry, "key", place) for place in entry.one_or_more("key")]
    cure = entry.take("key_from", str, "")
    if not places:
        return None
    if ARMOUR in places[0]:
        return Key(content=places[0])
    there = [folder / place for place in places if (folder / place).is_file()]
    if there:
        found = [as_text(content(entry, "key", path)) for path in there]
        if len({ARMOUR in text for text in found}) > 1:
            raise entry.error("key", f"{there[0]} and others are not all armoured, or all binary")
        return Key(content="".join(found), path=str(there[0]), cure=cure)
    if not places[-1].startswith("/"):
        raise entry.error("key", f"there is no file {folder / places[-1]}")
    return Key(content="", path=places[-1], cure=cure)
