"""Who may sign a repository, and how that changes: a chain of key lists.

REPO/keys/N.json.asc    list N, clear-signed by a key of the list before; never changed or removed

A node begins with the keys that its admin gave. It takes over a newer list when a key that it
trusts signed it, list after list, so it reaches the newest one however long it was away (as TUF
does with its root files). A key that a list leaves out is dropped for good.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from vztmpl.errors import ConfigError, VerificationError
from vztmpl.table import Table
from vztmpl.template.signature import fingerprints, verify_clear

FORMAT = 1
FOLDER = "keys"
MAX_BYTES = 1 << 20
_MOST_LISTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyList:
    """All who may sign, from one time on."""

    version: int
    keys: Mapping[str, str]
    """Fingerprint to public key, armoured."""
    index_serial: int
    """The newest index when the list was made: no later one has a lower serial."""

    @classmethod
    def parse(cls, data: bytes, where: object) -> Self:
        """Read a list whose signature was checked; VerificationError when it is malformed."""
        try:
            table = Table(json.loads(data), where)
            if (version := table.take("format", int)) != FORMAT:
                raise table.error("format", f"is {version}; this vztmpl reads {FORMAT}")
            keys = table.table("keys")
            return cls(
                version=table.take("version", int),
                keys={name: keys.take(name, str) for name in keys.keys()},  # noqa: SIM118
                index_serial=table.take("index_serial", int),
            )
        except (ValueError, TypeError, RecursionError, ConfigError) as error:
            raise VerificationError(f"{where}: not a list of keys: {error}") from error

    def to_json(self) -> bytes:
        """Return the text that is signed."""
        value = {
            "format": FORMAT,
            "version": self.version,
            "index_serial": self.index_serial,
            "keys": dict(sorted(self.keys.items())),
        }
        return (json.dumps(value, indent=1) + "\n").encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The keys that a node trusts for a remote."""

    keys: bytes
    """Public keys, armoured."""
    version: int = 0
    """Of the list that they come from; 0 when the admin gave them."""
    dropped: frozenset[str] = frozenset()
    """Fingerprints that a list left out: none of them is trusted again."""
    index_serial: int = 0
    """What the newest list says of the index."""

    def after(self, signed: bytes, version: int, where: object) -> Self:
        """Return the trust after one more list, which a trusted key has to have signed."""
        text, _ = verify_clear(signed, self.keys, where)
        found = KeyList.parse(text, where)
        if found.version != version:
            raise VerificationError(f"{where} is list {found.version}")
        for name, key in found.keys.items():
            if fingerprints(key.encode()) != [name]:
                raise VerificationError(f"{where} names another key than it holds: {name}")
        kept = {name: key for name, key in found.keys.items() if name not in self.dropped}
        if not kept:
            raise VerificationError(f"{where} leaves no key to trust")
        return replace(
            self,
            keys="".join(kept.values()).encode(),
            version=version,
            dropped=self.dropped | (frozenset(fingerprints(self.keys)) - kept.keys()),
            index_serial=found.index_serial,
        )


def follow(trust: Trust, read: Callable[[str], bytes | None]) -> Trust:
    """Return the trust after all newer lists; ``read`` gives a file, or None when there is none.

    A list that no trusted key signed is passed over: it changes nothing, and the keys that an
    admin gave may be younger than the first lists.
    """
    for version in range(trust.version + 1, _MOST_LISTS):
        path = file_name(version)
        if (signed := read(path)) is None:
            break
        try:
            trust = trust.after(signed, version, path)
        except VerificationError:
            continue
    return trust


def file_name(version: int) -> str:
    """Name the file of a list, relative to the index."""
    return f"{FOLDER}/{version}.json.asc"


def newest(names: Iterable[str]) -> int:
    """Return the version of the newest list among files of the folder; 0 when there is none."""
    stems = (name.removesuffix(".json.asc") for name in names)
    return max((int(stem) for stem in stems if stem.isdecimal()), default=0)
