"""Building a template again from its own manifest and lock file, and comparing the two."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vztmpl.build.builder import build
from vztmpl.build.lock import Lock
from vztmpl.build.recipe import Recipe
from vztmpl.build.workshop import Workshop
from vztmpl.errors import VerificationError
from vztmpl.files import locked, remove_tree
from vztmpl.progress import Progress
from vztmpl.template import archive
from vztmpl.template.diff import Difference, Side, diff
from vztmpl.template.manifest import Manifest, TemplateFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What building again gave."""

    first: Manifest
    second: Manifest
    same_recipe: bool
    difference: Difference | None
    """What is not the same; None when all is."""

    @property
    def identical(self) -> bool:
        """Say whether both are the same tar, bit by bit."""
        return self.first.digest == self.second.digest


def rebuild(
    template: Path, resolve: Callable[[str, str], Recipe], workshop: Workshop, progress: Progress
) -> Rebuilt:
    """Build a template again; ``resolve`` finds the recipe for a name and a mirror."""
    files = TemplateFiles.beside(template)
    first, path = Manifest.read(files.manifest), files.lock
    lock = Lock.read(path)
    if first.files.get(path.name) != archive.sha256_of(path)[0]:
        raise VerificationError(f"{path} is not the lock file that {files.manifest} names")
    recipe = resolve(first.name, lock.mirror)
    with (
        locked(workshop.locks / f"rebuild-{first.name}.lck"),
        _emptied(workshop.folder / f"rebuild-{first.name}") as folder,
    ):
        second, again = build(recipe, folder, workshop, None, progress, lock=lock)
        difference = None
        if first.digest != second.digest:
            progress.phase("comparing", first.unpacked_bytes + second.unpacked_bytes)
            sides = Side(archive=template, manifest=first), Side.of(again.archive)
            difference = diff(*sides, progress.advance)
    return Rebuilt(
        first=first,
        second=second,
        same_recipe=recipe.digest == lock.recipe,
        difference=difference,
    )


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """Yield a folder without what a killed process left in it; nothing stays there."""
    remove_tree(folder)
    try:
        yield folder
    finally:
        remove_tree(folder)
