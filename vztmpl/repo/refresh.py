"""The newest index of a remote, verified: from the first of its mirrors that has a good one."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vztmpl.errors import NetworkError, NotFoundError, VerificationError, VztmplError
from vztmpl.repo import keys
from vztmpl.repo.fetch import opened, worst
from vztmpl.repo.keys import Trust, follow
from vztmpl.repo.memory import Memory
from vztmpl.repo.remote import Remote, Remotes
from vztmpl.repo.source import Patience, Source
from vztmpl.template import index as indexes
from vztmpl.template.index import Index
from vztmpl.template.signature import fingerprints, verify_clear


def refresh(remotes: Remotes, remote: Remote, patience: Patience | None = None) -> Index:
    """Return a remote's index and remember it.

    VerificationError when it is not signed by a key that counts, older than one seen before, or
    expired; NetworkError when no mirror can be reached.
    """
    failed: list[VztmplError] = []
    for url in remote.urls:
        try:
            with opened(url, patience) as source:
                return _read(source, remotes, remote)
        except (NetworkError, NotFoundError, VerificationError) as error:
            failed.append(error)
    raise worst(failed)


def _read(source: Source, remotes: Remotes, remote: Remote) -> Index:
    memory = remotes.memory(remote)
    known = memory.version if memory.url == source.url and remotes.has_index(remote) else ""
    where = f"{source.url}/{indexes.FILE}"
    now = datetime.now(UTC)
    signed, version = source.read_changed(indexes.FILE, indexes.MAX_BYTES, known)
    if signed is None:
        index = remotes.index(remote)
        index.check_fresh(memory.serial, now, where)
        remotes.remember(remote, lambda before: replace(before, checked=_text(now)))
        return index
    found = _verified(source, signed, memory.trust, where)
    if found.trust != memory.trust:
        memory = remotes.remember(remote, lambda before: before.after(found.trust))
    found.index.check_fresh(memory.serial, now, where)

    def seen(before: Memory) -> Memory:
        return replace(
            before,
            serial=found.index.serial,
            signer=found.signer,
            url=source.url,
            version=version,
            checked=_text(now),
        )

    remotes.remember_index(remote, found.text, seen)
    return found.index


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An index that a key that counts has signed."""

    text: bytes
    index: Index
    signer: str
    trust: Trust
    """The keys that count since."""


def _verified(source: Source, signed: bytes, trust: Trust, where: str) -> _Found:
    refused: VerificationError | None = None
    try:
        found = _signed(signed, trust, where)
        if found.index.keys_version <= trust.version:
            return found
    except VerificationError as error:
        refused = error
    newer = follow(trust, lambda path: _optional(source, path))
    if refused and newer == trust:
        raise refused
    found = _signed(signed, newer, where)
    if found.index.keys_version > newer.version and not _current(newer, found.index):
        raise VerificationError(
            f"{where}: list {found.index.keys_version} of its keys is kept from us",
            hint="use another mirror; or get the keys of now from the publisher himself",
        )
    return found


def _signed(signed: bytes, trust: Trust, where: str) -> _Found:
    text, signer = verify_clear(signed, trust.keys, where)
    return _Found(text=text, index=Index.parse(text, where), signer=signer, trust=trust)


def _current(trust: Trust, index: Index) -> bool:
    """Say whether all keys that we trust still count: an admin may have given those of now."""
    return set(fingerprints(trust.keys)) <= set(index.keys)


def _optional(source: Source, path: str) -> bytes | None:
    try:
        return source.read(path, keys.MAX_BYTES)
    except NotFoundError:
        return None


def _text(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
