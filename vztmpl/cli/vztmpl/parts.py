"""The parts of vztmpl, made from this node's settings."""

import glob
from pathlib import Path

from vztmpl.repo.cache import Cache
from vztmpl.repo.remote import Remotes
from vztmpl.settings import Node
from vztmpl.template.signature import Keyring


def keyring(node: Node) -> Keyring:
    """Return the keyring that this machine signs with."""
    return Keyring(node.state / "keys")


def remotes(node: Node) -> Remotes:
    """Return the remotes that this node knows."""
    return Remotes(node.etc, node.state)


def cache(node: Node) -> Cache:
    """Return the templates that this node has."""
    return Cache(node.cache, node.bases, node.locks)


def bases_in_use(node: Node) -> set[str]:
    """Return the digests of the bases that VEs are made of: ``VE_PRIVATE/base`` leads there."""
    pattern = "*".join(glob.escape(part) for part in node.private_pattern.split("$VEID"))
    links = (Path(path) for path in glob.glob(f"{pattern}/base"))  # noqa: PTH207 - an absolute one
    return {link.readlink().name for link in links if link.is_symlink()}
