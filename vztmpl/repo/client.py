"""Fetching: a remote's signed index leads to a template, which is verified and cached."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from vztmpl.errors import NetworkError, NotFoundError, VerificationError, VztmplError, during
from vztmpl.files import locked, remove_abandoned, replacing
from vztmpl.progress import Progress
from vztmpl.repo.cache import Cache
from vztmpl.repo.fetch import Source, opened
from vztmpl.repo.remote import Remote, Remotes
from vztmpl.repo.verify import SIGNATURE_MAX_BYTES, parse_named
from vztmpl.template import index as indexes
from vztmpl.template import manifest as manifests
from vztmpl.template.index import Entry, Index
from vztmpl.template.manifest import Manifest
from vztmpl.template.name import TemplateName
from vztmpl.template.signature import verify_clear, verify_detached


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch came to."""

    manifest: Manifest
    remote: str
    changed: bool
    """False when the cache had it already."""
    base: Path


class Client:
    """Gets templates from remotes into the cache of a node."""

    def __init__(self, remotes: Remotes, cache: Cache, locks: Path, progress: Progress) -> None:
        self._remotes = remotes
        self._cache = cache
        self._locks = locks
        self._progress = progress

    def fetch(self, name: str, remote: str = "") -> Fetched:
        """Get the newest build of a template from a remote, or from the first that offers it.

        A build that is not newer than the cached one changes nothing. The base is there
        afterwards, so making a VE takes no time.
        """
        TemplateName.parse(name)
        wanted = [self._remotes.find(remote)] if remote else self._remotes.all()
        with locked(self._locks / f"fetch-{name}.lck", wait=True), during(f"fetching {name}"):
            origin, entry = self._offer(name, wanted)
            manifest = self._cached(name)
            changed = manifest is None or entry.serial > manifest.serial
            if manifest is None or changed:
                with opened(origin.url) as source, during(f"reading from {origin.name}"):
                    manifest = self._download(source, entry, origin.keys.read_bytes())
            base = self._cache.base(name, self._progress)
        return Fetched(manifest=manifest, remote=origin.name, changed=changed, base=base)

    def index(self, remote: Remote) -> Index:
        """Return a remote's index; VerificationError when it is not signed, old or expired."""
        with opened(remote.url) as source:
            signed = source.read(indexes.FILE, indexes.MAX_BYTES)
        where = f"{remote.url}/{indexes.FILE}"
        text, _ = verify_clear(signed, remote.keys.read_bytes(), where)
        index = Index.parse(text, where)
        index.check_fresh(self._remotes.last_serial(remote.name), datetime.now(UTC), where)
        self._remotes.saw(remote.name, index.serial)
        return index

    def _offer(self, name: str, remotes: Sequence[Remote]) -> tuple[Remote, Entry]:
        """Return the first remote that offers a template; one that is down hides no other."""
        if not remotes:
            hint = "`vztmpl remote add NAME URL --key FILE` makes one known"
            raise NotFoundError("this node knows no remote", hint=hint)
        failed: VztmplError | None = None
        offered: set[str] = set()
        for remote in remotes:
            self._progress.phase(f"reading the index of {remote.name}")
            try:
                index = self.index(remote)
            except (NetworkError, NotFoundError) as error:
                failed = failed or error
                continue
            if entry := index.newest(name):
                return remote, entry
            offered |= {entry.name for entry in index.entries}
        raise failed or _not_offered(name, remotes, offered)

    def _cached(self, name: str) -> Manifest | None:
        try:
            return self._cache.find(name)
        except (NotFoundError, VerificationError):
            return None  # a broken one is fetched again

    def _download(self, source: Source, entry: Entry, keys: bytes) -> Manifest:
        """Bring in the files; they get their names when all of them are verified."""
        theirs = manifests.TemplateFiles.of(Path(entry.path), entry.name)
        ours = self._cache.files(entry.name)
        ours.manifest.parent.mkdir(parents=True, exist_ok=True)
        for file in (*ours.all, *ours.extras):
            remove_abandoned(file)
        text = source.read(str(theirs.manifest), manifests.MAX_BYTES)
        signature = source.read(str(theirs.signature), SIGNATURE_MAX_BYTES)
        verify_detached(text, signature, keys, theirs.manifest)
        manifest = _expected(text, entry, theirs.manifest)
        with ExitStack() as placing:  # leaves in reverse order: archive, signature, manifest
            placing.enter_context(replacing(ours.manifest)).write(text)
            placing.enter_context(replacing(ours.signature)).write(signature)
            for file in ours.named_by(manifest):
                text = source.read(str(Path(entry.path) / file.name), manifests.MAX_EXTRA_BYTES)
                if sha256(text).hexdigest() != manifest.files[file.name]:
                    raise _altered(file.name)
                placing.enter_context(replacing(file)).write(text)
            archive = placing.enter_context(replacing(ours.archive))
            self._progress.phase(f"downloading {entry.name}", manifest.size_bytes)
            got = source.download(
                str(theirs.archive), archive, manifest.size_bytes, self._progress.advance
            )
            if got != manifest.sha256:
                raise _altered(theirs.archive)
            with self._cache.changing(entry.name), placing.pop_all():
                for file in ours.extras:  # of the build before
                    file.unlink(missing_ok=True)
        return manifest


def _expected(text: bytes, entry: Entry, where: object) -> Manifest:
    """Return the manifest, which has to be the very one that the index names."""
    if sha256(text).hexdigest() != entry.manifest_sha256:
        raise _altered(where)
    manifest = parse_named(text, entry.name, where)
    if (manifest.digest, manifest.serial) != (entry.digest, entry.serial):
        raise VerificationError(f"{where} is of another build than the index says")
    return manifest


def _altered(where: object) -> VerificationError:
    return VerificationError(
        f"{where} is not what the signed index says",
        hint="the mirror altered it or is in the middle of an update; use another mirror",
    )


def _not_offered(name: str, remotes: Sequence[Remote], offered: set[str]) -> NotFoundError:
    from difflib import get_close_matches

    asked = ", ".join(remote.name for remote in remotes)
    near = ", ".join(get_close_matches(name, sorted(offered), 3) or sorted(offered)[:10])
    hint = f"there is {near}" if near else "nothing is published there"
    return NotFoundError(f"no template {name} at {asked}", hint=hint)
