"""One build on its way from a remote into the cache: downloaded, verified and unpacked at once.

While the archive comes in it is hashed, kept on the disk, decompressed, hashed again and fed to
tar, which fills a folder that nobody but root can enter. The folder becomes a base, and the files
take their places in the cache, after the last check. A delta goes the same way; when one does not
lead to the right tar the whole archive is fetched instead.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from vztmpl.errors import CommandError, NetworkError, NotFoundError, VerificationError, VztmplError
from vztmpl.files import replacing
from vztmpl.progress import Progress
from vztmpl.repo.cache import Cache
from vztmpl.repo.download import Arriving, Download, altered
from vztmpl.repo.fetch import opened, worst
from vztmpl.repo.origin import Origin
from vztmpl.repo.remote import Remote
from vztmpl.repo.source import Patience, Source
from vztmpl.repo.verify import SIGNATURE_MAX_BYTES, parse_named
from vztmpl.template import archive, delta
from vztmpl.template import manifest as manifests
from vztmpl.template.entry import Delta, Entry
from vztmpl.template.manifest import Manifest, TemplateFiles
from vztmpl.template.signature import verify_detached


class Arrival:
    """Brings in one build; the caller holds the lock on fetching its name."""

    def __init__(
        self,
        remote: Remote,
        entry: Entry,
        keys: bytes,
        *,
        cache: Cache,
        progress: Progress,
        patience: Patience | None,
    ) -> None:
        self._remote, self._entry, self._keys = remote, entry, keys
        self._cache, self._progress, self._patience = cache, progress, patience
        self._theirs = TemplateFiles.of(Path(entry.path), entry.name)

    def bring(self, cached: Manifest | None) -> bool:
        """Bring in the build, verified, with its base; say whether a delta was enough."""
        with self._sources() as sources:
            text = self._small(sources, self._theirs.manifest, manifests.MAX_BYTES)
            signature = self._small(sources, self._theirs.signature, SIGNATURE_MAX_BYTES)
            signer = verify_detached(text, signature, self._keys, self._theirs.manifest)
            manifest = self._expected(text)
            extras = self._extras(sources, manifest)
            self._cache.partial.mkdir(parents=True, exist_ok=True)
            made = self._from_cached(sources, manifest, cached) if cached else None
            came = made or self._whole(sources, manifest)
        with self._cache.replacing(manifest.name) as files:
            came.rename(files.archive)
            size_bytes = files.archive.stat().st_size if made else 0
            for path, content in {files.signature: signature, **extras}.items():
                with replacing(files.manifest.with_name(path.name)) as file:
                    file.write(content)
            self._origin(signer, size_bytes).save(
                files.archive.with_name(f"{manifest.name}.origin")
            )
            with replacing(files.manifest) as file:
                file.write(text)
        return made is not None

    def _from_cached(
        self, sources: Sequence[Source], manifest: Manifest, cached: Manifest
    ) -> Path | None:
        """Make the archive of what is cached; None when that can't be done."""
        made = self._cache.partial / f"{manifest.digest}.made"
        made.unlink(missing_ok=True)
        if cached.digest == manifest.digest:  # built again, and nothing in it changed
            made.hardlink_to(self._cache.files(cached.name).archive)
            return made
        wanted = self._entry.delta_since(cached.digest)
        return self._by_delta(sources, manifest, wanted, made) if wanted else None

    def _by_delta(
        self, sources: Sequence[Source], manifest: Manifest, wanted: Delta, made: Path
    ) -> Path | None:
        path = f"{self._entry.path}/{wanted.file}"
        file = self._entry.files[wanted.file]
        download = Download(self._cache.partial, path, file, self._progress.advance)
        try:
            self._progress.phase(f"downloading a delta of {manifest.name}", file.size_bytes)
            for _ in download.chunks(sources):
                pass
            self._apply(download.partial, made, manifest)
        except (NetworkError, NotFoundError, VerificationError, CommandError):
            self._progress.phase("the delta is of no use, the whole is fetched")
            made.unlink(missing_ok=True)
            return None
        finally:
            download.forget()
        return made

    def _apply(self, patch: Path, made: Path, manifest: Manifest) -> None:
        with (
            self._cache.using(manifest.name) as old,
            self._cache.new_base(manifest.digest) as tree,
            patch.open("rb") as read,
            made.open("wb") as written,
        ):
            self._progress.phase(f"applying it to {manifest.name}", manifest.unpacked_bytes)
            tar = archive.recompressed(delta.apply(read, old, patch.name), written)
            self._unpack(tar, tree, manifest)

    def _whole(self, sources: Sequence[Source], manifest: Manifest) -> Path:
        """Return the archive, downloaded whole; one bad mirror spoils no other's work."""
        file = self._entry.files[self._entry.archive]
        if file.sha256 != manifest.sha256:
            raise altered(self._theirs.archive)
        download = Download(
            self._cache.partial, str(self._theirs.archive), file, self._progress.advance
        )
        tries = [sources]
        if len(sources) > 1 or download.partial.exists():
            tries += [[source] for source in sources]
        failed: list[VztmplError] = []
        for some in tries:
            self._progress.phase(f"downloading {manifest.name}", file.size_bytes)
            try:
                self._download(download, some, manifest)
            except VerificationError as error:
                download.forget()
                failed.append(error)
            except (NetworkError, NotFoundError) as error:
                failed.append(error)
                if len(failed) == 1:
                    break  # all were asked, and nobody altered anything
            else:
                return download.partial
        raise worst(failed)

    def _download(self, download: Download, sources: Sequence[Source], manifest: Manifest) -> None:
        arriving = Arriving(download.chunks(sources))
        with self._cache.new_base(manifest.digest) as tree:
            if tree is not None:
                tar = archive.decompressed(arriving, self._theirs.archive)
                self._unpack(tar, tree, manifest)
            arriving.drain()

    def _unpack(self, tar: Iterable[bytes], tree: Path | None, manifest: Manifest) -> None:
        checked = archive.verified(
            tar, manifest.digest, manifest.unpacked_bytes, self._theirs.archive
        )
        if tree is None:
            for _ in checked:
                pass
        else:
            archive.extract(checked, tree, manifest.unpacked_bytes)

    def _extras(self, sources: Sequence[Source], manifest: Manifest) -> dict[Path, bytes]:
        """Return what belongs to the build beside the archive, as the SBOM, by its path there."""
        found = {}
        for path in self._theirs.named_by(manifest):
            found[path] = self._small(sources, path, manifests.MAX_EXTRA_BYTES)
            if sha256(found[path]).hexdigest() != manifest.files[path.name]:
                raise altered(path)
        return found

    def _expected(self, text: bytes) -> Manifest:
        """Return the manifest, which has to be that of the build in the index."""
        manifest = parse_named(text, self._entry.name, self._theirs.manifest)
        if (manifest.digest, manifest.serial) != (self._entry.digest, self._entry.serial):
            raise VerificationError(
                f"{self._theirs.manifest} is of another build than the index says"
            )
        return manifest

    def _small(self, sources: Sequence[Source], path: Path, limit_bytes: int) -> bytes:
        """Return a small file that is just what the index says, from the first that has it."""
        file = self._entry.files.get(path.name)
        if file is None:
            raise VerificationError(f"{path} is not in the index, but in the signed manifest")
        failed: list[VztmplError] = []
        for source in sources:
            try:
                content = source.read(str(path), min(limit_bytes, file.size_bytes))
                if sha256(content).hexdigest() != file.sha256:
                    raise altered(source.at(str(path)))
            except (NetworkError, NotFoundError, VerificationError) as error:
                failed.append(error)
            else:
                return content
        raise worst(failed)

    @contextmanager
    def _sources(self) -> Iterator[list[Source]]:
        with ExitStack() as connections:
            yield [
                connections.enter_context(opened(url, self._patience)) for url in self._remote.urls
            ]

    def _origin(self, signer: str, archive_bytes: int) -> Origin:
        return Origin(
            source=self._remote.name,
            signer=signer,
            fetched=datetime.now(UTC).isoformat(timespec="seconds"),
            archive_bytes=archive_bytes,
        )
