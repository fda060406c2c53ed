"""The parts of vztmpl, made from this node's settings."""

from vztmpl.repo.cache import Cache
from vztmpl.repo.remote import Remotes
from vztmpl.settings import Node
from vztmpl.template.signature import Keyring
from vztmpl.ve import area


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
    """Return the digests of the bases that VEs are made of."""
    return area.bases_in_use(node)
