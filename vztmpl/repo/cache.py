"""The cache: the verified templates of a node, and the bases made from them.

CACHE/NAME.tar.zst, NAME.json.asc, NAME.json    a template; the manifest is put there last
BASES/DIGEST/                                   its tree, unpacked once, never written to
LOCKS/template-NAME.lck                         held to change the three files, shared to read
LOCKS/base-DIGEST.lck                           held to make or remove a base, shared to use it
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vztmpl.errors import LockedError, NotFoundError, VerificationError, during
from vztmpl.files import locked, new_folder, remove_abandoned, remove_tree
from vztmpl.progress import Progress, Silent
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
        return [self._entry(path.stem) for path in sorted(self._folder.glob("*.json"))]

    def find(self, name: str) -> Manifest:
        """Return the manifest of a cached template.

        NotFoundError when it is not cached, VerificationError when it is broken.
        """
        TemplateName.parse(name)
        if not self.files(name).manifest.is_file():
            raise self._unknown(name)
        entry = self._entry(name)
        if entry.manifest is None:
            hint = f"`vztmpl fetch {name}` gets it again"
            raise VerificationError(f"template {name} is broken: {entry.problem}", hint=hint)
        return entry.manifest

    def files(self, name: str) -> TemplateFiles:
        """Name the files of a template in the cache, there or not."""
        return TemplateFiles.of(self._folder, name)

    def base(self, name: str, progress: Progress | None = None) -> Path:
        """Return the folder with a template's tree, unpacking it first when that was not done.

        Nobody may write there. Hold ``using`` around whatever makes a VE from it.
        """
        with self.changing(name, shared=True):
            manifest = self.find(name)
            folder = self._bases / manifest.digest
            if not folder.is_dir():
                with during(f"unpacking {name}"), self._base_lock(manifest.digest):
                    if not folder.is_dir():
                        self._unpack(name, manifest, folder, progress or Silent())
        return folder

    @contextmanager
    def using(self, name: str, progress: Progress | None = None) -> Iterator[Path]:
        """Yield the base of a template; it is not removed before the block ends."""
        while True:
            folder = self.base(name, progress)
            with self._base_lock(folder.name, shared=True):
                if folder.is_dir():
                    yield folder
                    return

    def changing(self, name: str, *, shared: bool = False) -> AbstractContextManager[None]:
        """Return the lock on a template's three files."""
        return locked(self._locks / f"template-{name}.lck", shared=shared, wait=True)

    def has_base(self, manifest: Manifest) -> bool:
        """Say whether a template is unpacked."""
        return (self._bases / manifest.digest).is_dir()

    def remove(self, name: str, in_use: InUse) -> None:
        """Remove a template, and the bases that nothing needs any more."""
        TemplateName.parse(name)
        files = self.files(name)
        with self.changing(name):
            if not files.manifest.exists():
                raise self._unknown(name)
            for file in (files.manifest, files.signature, files.archive, *files.extras):
                file.unlink(missing_ok=True)
        self.remove_unused_bases(in_use)

    def remove_unused_bases(self, in_use: InUse) -> None:
        """Remove each base that belongs to no cached template and to no VE."""
        cached = {entry.manifest.digest for entry in self.entries() if entry.manifest}
        for digest in {_digest(path) for path in self._bases.glob("*")} - cached:
            try:
                with self._base_lock(digest, wait=False):
                    if digest not in in_use():
                        remove_abandoned(self._bases / digest)
                        remove_tree(self._bases / digest)
            except LockedError:
                continue  # somebody is at it, so it is needed

    def _unpack(self, name: str, manifest: Manifest, folder: Path, progress: Progress) -> None:
        from vztmpl.template import archive  # zstandard: not for verbs that find the base there

        remove_abandoned(folder)
        progress.phase(f"unpacking {name}", manifest.unpacked_bytes)
        with new_folder(folder) as tree:
            packed = self.files(name).archive
            archive.unpack(packed, tree, manifest.digest, manifest.unpacked_bytes, progress.advance)
            run(["sync", "--file-system", tree])  # under its final name a base is on the disk

    def _entry(self, name: str) -> Entry:
        files = self.files(name)
        try:
            with files.manifest.open("rb") as file:
                manifest = Manifest.parse(file.read(MAX_BYTES), files.manifest)
            if manifest.name != name:
                return _broken(name, f"its manifest is that of {manifest.name}")
            if files.archive.stat().st_size != manifest.size_bytes:
                return _broken(
                    name, f"{files.archive.name} has another size than its manifest says"
                )
        except FileNotFoundError as error:
            return _broken(name, f"{error.filename} is missing")
        except VerificationError as error:
            return _broken(name, str(error))
        return Entry(name=name, manifest=manifest)

    def _unknown(self, name: str) -> NotFoundError:
        from difflib import get_close_matches

        cached = [path.stem for path in self._folder.glob("*.json")]
        near = ", ".join(get_close_matches(name, cached, 3))
        hint = f"`vztmpl fetch {name}` gets it" + (f"; cached: {near}" if near else "")
        return NotFoundError(f"template {name} is not in the cache", hint=hint)

    def _base_lock(
        self, digest: str, *, shared: bool = False, wait: bool = True
    ) -> AbstractContextManager[None]:
        return locked(self._locks / f"base-{digest}.lck", shared=shared, wait=wait)


def _digest(path: Path) -> str:
    """Return the digest of a base, also of one that a killed process left half made."""
    return path.name.lstrip(".").partition(".")[0]


def _broken(name: str, problem: str) -> Entry:
    return Entry(name=name, manifest=None, problem=problem)
