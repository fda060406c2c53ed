"""Fetching as the command line does it, and the limits of the cache from vz.conf."""

from collections.abc import Sequence
from dataclasses import dataclass

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.parts import bases_in_use, cache, remotes
from vztmpl.errors import ConfigError, VztmplError
from vztmpl.progress import Progress
from vztmpl.repo import parallel
from vztmpl.repo.client import Client, Fetched
from vztmpl.repo.prune import prune, size_bytes
from vztmpl.settings import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the cache may hold; None is no limit."""

    max_bytes: int | None
    max_days: int | None


def cache_limits(node: Node, max_size: str = "", max_age: str = "") -> Limits:
    """Return the limits: those given, or else CACHE_MAX_SIZE and CACHE_MAX_AGE of vz.conf."""
    size = max_size or node.setting("CACHE_MAX_SIZE")
    days = max_age or node.setting("CACHE_MAX_AGE")
    try:
        return Limits(
            max_bytes=size_bytes(size) if size else None, max_days=int(days) if days else None
        )
    except (ValueError, KeyError) as error:
        hint = "a size is like 500M or 20G, an age is a number of days"
        where = "the command line" if max_size or max_age else node.etc / "vz.conf"
        raise ConfigError(where, "limit", f"{size or days!r} makes no sense", hint=hint) from error


def pruned(node: Node, limits: Limits) -> list[str]:
    """Prune the cache; return the names of the templates that went."""
    return prune(
        cache(node),
        lambda: bases_in_use(node),
        max_bytes=limits.max_bytes,
        max_days=limits.max_days,
    )


def fetch_all(
    node: Node, names: Sequence[str], remote: str = ""
) -> tuple[list[Fetched], list[VztmplError]]:
    """Fetch templates, then keep the cache within its limits."""
    limits, templates = cache_limits(node), cache(node)

    def client(told: Progress) -> Client:
        return Client(remotes(node), templates, node.locks, told)

    with progress.shown() as shown:
        fetched, failed = parallel.fetch_all(client, names, remote, shown)
    if any(one.changed for one in fetched):
        templates.remove_unused_bases(lambda: bases_in_use(node))
        pruned(node, limits)
    return fetched, failed
