"""Which templates leave the cache: the least used first, never one that a VE or a pin holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

from vztmpl.errors import NotFoundError
from vztmpl.files import remove_tree
from vztmpl.repo.cache import Cache, InUse

_DAY_SECONDS = 86400
_PARTIAL_DAYS = 7
"""How long a broken download may be gone on with."""
_IMPORT_DAYS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A cached template, as pruning sees it."""

    name: str
    digest: str
    size_bytes: int
    last_use: float
    kept: str
    """Why it stays whatever happens: ``pinned``, ``in use``, or empty."""


def held(cache: Cache, in_use: InUse) -> list[Held]:
    """Return the good templates of a cache, the one used longest ago first."""
    used = in_use()
    found = []
    for entry in cache.entries():
        if entry.manifest is None:
            continue
        kept = "in use" if entry.manifest.digest in used else ""
        files = cache.files(entry.name)
        found.append(
            Held(
                name=entry.name,
                digest=entry.manifest.digest,
                size_bytes=files.archive.stat().st_size,
                last_use=cache.last_use(entry.name),
                kept="pinned" if cache.is_pinned(entry.name) else kept,
            )
        )
    return sorted(found, key=lambda one: one.last_use)


def prune(
    cache: Cache, in_use: InUse, *, max_bytes: int | None = None, max_days: float | None = None
) -> list[str]:
    """Remove templates not used for ``max_days``, then the least used until the rest fits.

    Sizes are of archives; a template takes its base along. Returns the names.
    """
    there = held(cache, in_use)
    total = sum(one.size_bytes for one in there)
    oldest = time() - max_days * _DAY_SECONDS if max_days is not None else 0
    gone = []
    for one in there:
        too_much = max_bytes is not None and total > max_bytes
        if not one.kept and (one.last_use < oldest or too_much):
            if _remove(cache, one.name, in_use):
                gone.append(one.name)
            total -= one.size_bytes
    return gone


def collect(cache: Cache, in_use: InUse, *, bases: bool = False) -> Sequence[str]:
    """Remove what is of no use: bases that nothing needs, what broken downloads left.

    With ``bases`` also those of cached templates that neither a VE nor a pin holds: they are
    unpacked again when a VE is made. Returns what was removed.
    """
    kept = {one.digest for one in held(cache, in_use) if one.kept} if bases else None
    gone = [f"base {digest}" for digest in cache.remove_unused_bases(in_use, kept)]
    for path in _old(cache.partial.glob("*"), _PARTIAL_DAYS):
        path.unlink(missing_ok=True)
        gone.append(f"broken download {path.name}")
    for path in _old(cache.partial.parent.glob(".import-*"), _IMPORT_DAYS):
        remove_tree(path)
        gone.append(f"broken import {path.name}")
    return gone


def _old(paths: Iterable[Path], days: int) -> list[Path]:
    oldest = time() - days * _DAY_SECONDS
    return [path for path in sorted(paths) if path.stat().st_mtime < oldest]


def size_bytes(text: str) -> int:
    """Read a size such as ``500M`` or ``20G`` (powers of 1024); ValueError when it is none."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    return int(number) * (units[unit] if unit else 1)


def _remove(cache: Cache, name: str, in_use: InUse) -> bool:
    try:
        cache.remove(name, in_use)
    except NotFoundError:
        return False  # somebody else was first
    return True
