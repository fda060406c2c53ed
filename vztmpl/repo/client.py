"""Fetching: a remote's signed index leads to a template, which is verified and cached."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vztmpl.errors import NetworkError, NotFoundError, VerificationError, VztmplError, during
from vztmpl.files import locked
from vztmpl.progress import Progress
from vztmpl.repo.arrival import Arrival
from vztmpl.repo.cache import Cache
from vztmpl.repo.refresh import refresh
from vztmpl.repo.remote import Remote, Remotes
from vztmpl.repo.source import Patience
from vztmpl.template.entry import Entry
from vztmpl.template.index import Index
from vztmpl.template.manifest import Manifest
from vztmpl.template.name import TemplateName, the_one


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch came to."""

    manifest: Manifest
    remote: str
    changed: bool
    """False when the cache had it already."""
    base: Path
    by_delta: bool = False


class Client:
    """Gets templates from remotes into the cache of a node."""

    def __init__(
        self,
        remotes: Remotes,
        cache: Cache,
        locks: Path,
        progress: Progress,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._remotes = remotes
        self._cache = cache
        self._locks = locks
        self._progress = progress
        self._patience = patience

    def fetch(self, name: str, remote: str = "") -> Fetched:
        """Get the newest build of a template from a remote, or from the first that offers it.

        A name without its set means the only set on offer. A build that is not newer than the
        cached one changes nothing. The base is there afterwards, so making a VE takes no time.
        """
        TemplateName.parse(name)
        wanted = [self._remotes.find(remote)] if remote else self._remotes.all()
        with during(f"fetching {name}"):
            origin, entry = self._offer(name, wanted)
            return self._bring(origin, entry)

    def _bring(self, origin: Remote, entry: Entry) -> Fetched:
        name = entry.name
        with locked(self._locks / f"fetch-{name}.lck", wait=True):
            cached = self._cached(name)
            if cached is not None and entry.serial <= cached.serial:
                base = self._cache.base(name, self._progress)
                return Fetched(manifest=cached, remote=origin.name, changed=False, base=base)
            keys = self._remotes.memory(origin).trust.keys
            arrival = Arrival(
                origin,
                entry,
                keys,
                cache=self._cache,
                progress=self._progress,
                patience=self._patience,
            )
            with during(f"reading from {origin.name}"):
                by_delta = arrival.bring(cached)
            return Fetched(
                manifest=self._cache.find(name),
                remote=origin.name,
                changed=True,
                base=self._cache.base(name, self._progress),
                by_delta=by_delta,
            )

    def refresh(self, remote: Remote) -> Index:
        """Return a remote's index; VerificationError when it is not signed, old or expired."""
        self._progress.phase(f"reading the index of {remote.name}")
        return refresh(self._remotes, remote, self._patience)

    def _offer(self, name: str, remotes: Sequence[Remote]) -> tuple[Remote, Entry]:
        """Return the first remote that offers a template; one that is down hides no other."""
        problems = self._remotes.problems()
        if not remotes and not problems:
            hint = "`vztmpl remote add NAME URL --key FILE` makes one known"
            raise NotFoundError("this node knows no remote", hint=hint)
        failed: VztmplError | None = problems[0] if problems else None
        offered: set[str] = set()
        for remote in remotes:
            try:
                index = self.refresh(remote)
            except (NetworkError, NotFoundError) as error:
                failed = failed or error
                continue
            names = {entry.name for entry in index.entries}
            if entry := index.newest(the_one(name, names)):
                return remote, entry
            offered |= names
        raise failed or _not_offered(name, remotes, offered)

    def _cached(self, name: str) -> Manifest | None:
        try:
            return self._cache.find(name)
        except (NotFoundError, VerificationError):
            return None  # a broken one is fetched again


def _not_offered(name: str, remotes: Sequence[Remote], offered: set[str]) -> NotFoundError:
    from difflib import get_close_matches

    asked = ", ".join(remote.name for remote in remotes)
    near = ", ".join(get_close_matches(name, sorted(offered), 3) or sorted(offered)[:10])
    hint = f"there is {near}" if near else "nothing is published there"
    return NotFoundError(f"no template {name} at {asked}", hint=hint)
