"""The cache: the verified templates of a node, and the bases made from them.

CACHE/NAME.tar.zst, NAME.json.asc, NAME.json    a template; the manifest is put there last
CACHE/NAME.origin                               where it came from, and what was proven of it
CACHE/NAME.pin                                  there when it has to stay
CACHE/.NAME.new/                                the same files, complete, about to take their places
BASES/DIGEST/                                   its tree, unpacked once, never written to
LOCKS/template-NAME.lck                         held to change the files, shared to read
LOCKS/new-NAME.lck                              held to write new files of a template
LOCKS/base-DIGEST.lck                           held to make or remove a base, shared to use it

BASES is closed to all but root: what is being unpacked there may not be verified yet, and users of
the node have no business with a template's setuid programs. The time of access of an archive says
when it was last used.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vztmpl.errors import LockedError, NotFoundError, VerificationError, during
from vztmpl.files import locked, new_folder, remove_abandoned, remove_tree, sync_folder
from vztmpl.progress import Progress, Silent
from vztmpl.repo.origin import Origin
from vztmpl.run import run
from vztmpl.template.manifest import MAX_BYTES, Manifest, TemplateFiles
from vztmpl.template.name import TemplateName

InUse = Callable[[], set[str]]
"""Says the digests of the bases that VEs are made of; asked while no VE can begin to use one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the cache holds under one name."""

    name: str
    manifest: Manifest | None
    """None when the template is broken."""
    problem: str = ""


class Cache:
    """The templates of a node."""

    def __init__(self, folder: Path, bases: Path, locks: Path) -> None:
        self._folder = folder
        self._bases = bases
        self._locks = locks

    def entries(self) -> list[Entry]:
        """Return all that is there by name, broken templates too."""
        for path in self._folder.glob(".*.new"):
            self._settle(path.name[1 : -len(".new")])
        return [self._entry(path.stem) for path in sorted(self._folder.glob("*.json"))]

    def find(self, name: str) -> Manifest:
        """Return the manifest of a cached template.

        NotFoundError when it is not cached, VerificationError when it is broken.
        """
        TemplateName.parse(name)
        self._settle(name)
        return self._found(name)

    def files(self, name: str) -> TemplateFiles:
        """Name the files of a template in the cache, there or not."""
        return TemplateFiles.of(self._folder, name)

    def origin_file(self, name: str) -> Path:
        """Name the file that says where a template came from."""
        return self._folder / f"{name}.origin"

    @property
    def partial(self) -> Path:
        """The folder of downloads that are not complete."""
        return self._folder / ".partial"

    @contextmanager
    def replacing(self, name: str) -> Iterator[TemplateFiles]:
        """Yield where to write the files of a template; they take their places together.

        Whoever looks next finishes what a killed process began, so nothing is lost in between.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        ready = self._ready(name)
        with locked(self._locks / f"new-{name}.lck", wait=True):
            self._settle(name)
            remove_abandoned(ready)
            with new_folder(ready) as folder:
                folder.chmod(0o755)
                yield TemplateFiles.of(folder, name)
            self._settle(name)

    def base(self, name: str, progress: Progress | None = None) -> Path:
        """Return the folder with a template's tree, unpacking it first when that was not done.

        Nobody may write there. Hold ``using`` around whatever makes a VE from it.
        """
        TemplateName.parse(name)
        self._settle(name)
        with self.changing(name, shared=True):
            manifest = self._found(name)
            folder = self._bases / manifest.digest
            if not folder.is_dir():
                with during(f"unpacking {name}"), self.new_base(manifest.digest) as tree:
                    if tree is not None:
                        self._unpack(name, manifest, tree, progress or Silent())
        return folder

    @contextmanager
    def using(self, name: str, progress: Progress | None = None) -> Iterator[Path]:
        """Yield the base of a template; it is not removed before the block ends."""
        while True:
            folder = self.base(name, progress)
            with self.base_lock(folder.name, shared=True):
                if folder.is_dir():
                    self._note_use(name)
                    yield folder
                    return

    @contextmanager
    def new_base(self, digest: str) -> Iterator[Path | None]:
        """Yield an empty folder that becomes a base, or None when that is there already."""
        folder = self._bases / digest
        self._bases.mkdir(parents=True, exist_ok=True)
        self._bases.chmod(0o700)
        with self.base_lock(digest):
            if folder.is_dir():
                yield None
                return
            remove_abandoned(folder)
            with new_folder(folder) as tree:
                yield tree
                run(["sync", "--file-system", tree])  # under its final name it is on the disk

    @contextmanager
    def scratch(self, digest: str) -> Iterator[Path]:
        """Yield an empty folder beside a base, gone after the block; hold the lock on the base."""
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix=f".{digest}.", dir=self._bases) as folder:
            yield Path(folder)

    def changing(self, name: str, *, shared: bool = False) -> AbstractContextManager[None]:
        """Return the lock on a template's files."""
        return locked(self._locks / f"template-{name}.lck", shared=shared, wait=True)

    def base_lock(
        self, digest: str, *, shared: bool = False, wait: bool = True
    ) -> AbstractContextManager[None]:
        """Return the lock on a base."""
        return locked(self._locks / f"base-{digest}.lck", shared=shared, wait=wait)

    def has_base(self, manifest: Manifest) -> bool:
        """Say whether a template is unpacked."""
        return (self._bases / manifest.digest).is_dir()

    def remove(self, name: str, in_use: InUse) -> None:
        """Remove a template, and the bases that nothing needs any more."""
        TemplateName.parse(name)
        self._settle(name)
        files = self.files(name)
        with self.changing(name):
            if not files.manifest.exists():
                raise self._unknown(name)
            beside = (*files.extras, self.origin_file(name), self._pin(name))
            for file in (*reversed(files.all), *beside):
                file.unlink(missing_ok=True)
        self.remove_unused_bases(in_use)

    def remove_unused_bases(self, in_use: InUse, kept: set[str] | None = None) -> list[str]:
        """Remove each base that no VE is made of and that is not ``kept``; return their digests.

        ``kept`` is the bases of all cached templates unless it is given. What killed processes
        left goes in any case.
        """
        if kept is None:
            kept = {entry.manifest.digest for entry in self.entries() if entry.manifest}
        gone = []
        for digest in {_digest(path) for path in self._bases.glob("*")}:
            try:
                with self.base_lock(digest, wait=False):
                    remove_abandoned(self._bases / digest)
                    if digest not in kept | in_use():
                        remove_tree(self._bases / digest)
                        gone.append(digest)
            except LockedError:
                continue  # somebody is at it, so it is needed
        return gone

    def is_pinned(self, name: str) -> bool:
        """Say whether a template has to stay."""
        return self._pin(name).exists()

    def pin(self, name: str, *, pinned: bool) -> None:
        """Make a cached template stay whatever is pruned, or no longer."""
        self.find(name)
        if pinned:
            self._pin(name).touch()
        else:
            self._pin(name).unlink(missing_ok=True)

    def last_use(self, name: str) -> float:
        """Return when a template last came in, or became a VE (seconds since 1970)."""
        return self.files(name).archive.stat().st_atime

    def _note_use(self, name: str) -> None:
        archive = self.files(name).archive
        with suppress(OSError):  # a read-only cache is as good
            os.utime(archive, (_now(), archive.stat().st_mtime))

    def _settle(self, name: str) -> None:
        """Put the new files of a template in their places, if there are some."""
        ready = self._ready(name)
        if not ready.is_dir():
            return
        with self.changing(name), suppress(FileNotFoundError):  # another process was first
            new = TemplateFiles.of(ready, name)
            for file in set(self.files(name).extras) - _named(new, self._folder):
                file.unlink(missing_ok=True)  # of the build before
            for path in sorted(ready.iterdir(), key=lambda path: path == new.manifest):
                path.replace(self._folder / path.name)
                path.unlink(missing_ok=True)  # rename(2) leaves both names of one file
            sync_folder(self._folder)
            ready.rmdir()

    def _unpack(self, name: str, manifest: Manifest, tree: Path, progress: Progress) -> None:
        from vztmpl.template import archive  # zstandard: not for verbs that find the base there

        progress.phase(f"unpacking {name}", manifest.unpacked_bytes)
        packed = self.files(name).archive
        archive.unpack(packed, tree, manifest.digest, manifest.unpacked_bytes, progress.advance)

    def _found(self, name: str) -> Manifest:
        if not self.files(name).manifest.is_file():
            raise self._unknown(name)
        entry = self._entry(name)
        if entry.manifest is None:
            hint = f"`vztmpl fetch {name}` gets it again"
            raise VerificationError(f"template {name} is broken: {entry.problem}", hint=hint)
        return entry.manifest

    def _entry(self, name: str) -> Entry:
        files = self.files(name)
        try:
            with files.manifest.open("rb") as file:
                manifest = Manifest.parse(file.read(MAX_BYTES), files.manifest)
            if manifest.name != name:
                return _broken(name, f"its manifest is that of {manifest.name}")
            if files.archive.stat().st_size != self._archive_bytes(name, manifest):
                return _broken(
                    name, f"{files.archive.name} has another size than its manifest says"
                )
        except FileNotFoundError as error:
            return _broken(name, f"{error.filename} is missing")
        except VerificationError as error:
            return _broken(name, str(error))
        return Entry(name=name, manifest=manifest)

    def _archive_bytes(self, name: str, manifest: Manifest) -> int:
        """Return the size that the archive has here: made from a delta, it is compressed anew."""
        return Origin.load(self.origin_file(name)).archive_bytes or manifest.size_bytes

    def _unknown(self, name: str) -> NotFoundError:
        from difflib import get_close_matches

        cached = [path.stem for path in self._folder.glob("*.json")]
        near = ", ".join(get_close_matches(name, cached, 3))
        hint = f"`vztmpl fetch {name}` gets it" + (f"; cached: {near}" if near else "")
        return NotFoundError(f"template {name} is not in the cache", hint=hint)

    def _ready(self, name: str) -> Path:
        return self._folder / f".{name}.new"

    def _pin(self, name: str) -> Path:
        return self._folder / f"{name}.pin"


def _named(files: TemplateFiles, folder: Path) -> set[Path]:
    """Return where in ``folder`` what a manifest names is to stand; the manifest moves last."""
    named = Manifest.read(files.manifest).files if files.manifest.exists() else files.extras
    return {folder / Path(name).name for name in named}


def _now() -> float:
    from time import time

    return time()


def _digest(path: Path) -> str:
    """Return the digest of a base, also of one that a killed process left half made."""
    return path.name.lstrip(".").partition(".")[0]


def _broken(name: str, problem: str) -> Entry:
    return Entry(name=name, manifest=None, problem=problem)
