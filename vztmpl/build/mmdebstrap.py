"""Bootstrapping Debian with mmdebstrap.

mmdebstrap takes neither the host's sources nor its apt options by itself; both are handed over.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import installed, own_manager
from vztmpl.build.foreign import require_runnable
from vztmpl.build.keys import require_keys
from vztmpl.build.meaning import explained
from vztmpl.build.recipe import Recipe
from vztmpl.build.sources import Sources, default_lines, host_sources, leave_sources, lines_of
from vztmpl.errors import VztmplError, during
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_FIXED_EPOCH = "86400"  # only mmdebstrap's own time stamps; ``epoch`` finds the real one afterwards

_READ_KEYS = (("APT::Sandbox::User", "root"),)  # those of a recipe are in a folder of root's


class Mmdebstrap:
    """Fills a tree from a Debian archive."""

    program = "mmdebstrap"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        require_keys(recipe)
        require_runnable(recipe.name)

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Install the recipe's packages into the empty folder ``tree``."""
        sources = host_sources()
        if recipe.mirror:
            sources = Sources(main=recipe.mirror, options=sources.options)
        with (
            TemporaryDirectory(prefix="keys-", dir=tree.parent) as keys,
            during(f"bootstrapping {recipe.name}"),
            explained(),
        ):
            lines = lines_of(recipe, sources, Path(keys))
            options = (*sources.options, *(_READ_KEYS if any(Path(keys).iterdir()) else ()))
            run(
                confined(command(recipe, tree, lines, options)),
                env={"SOURCE_DATE_EPOCH": _FIXED_EPOCH, "TMPDIR": str(tree.parent)},
                on_line=progress.note,
            )
            _settle_devices(tree)
            leave_sources(recipe, tree, default_lines(recipe, sources))
            own_manager.take_out(tree, recipe.parts.remove, progress)

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""
        own_manager.bring_in(tree, recipe.parts.packages, progress)
        own_manager.take_out(tree, recipe.parts.remove, progress)

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, ``name:arch`` to version."""
        return installed.dpkg_packages(tree)

    def epoch(self, tree: Path) -> int:
        """Return the newest ``Date:`` of the archive's Release files, in seconds since 1970."""
        if not (date := installed.release_date(tree)):
            raise VztmplError("the bootstrapper left no Release file to take the date from")
        return date

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).split()[-1]


def _settle_devices(tree: Path) -> None:
    """Give /dev the time that it came with; mmdebstrap does so only where it can make devices."""
    if (tree / "dev").exists():
        came_with = (tree / "proc").stat().st_mtime_ns
        os.utime(tree / "dev", ns=(came_with, came_with))


def command(
    recipe: Recipe, tree: Path, lines: Sequence[str], options: Sequence[tuple[str, str]]
) -> Sequence[str]:
    """Return the argv of mmdebstrap; ``lines`` are one-line sources, ``options`` apt's."""
    return [
        Mmdebstrap.program,
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--architectures={recipe.arch}",
        *([f"--include={','.join(recipe.parts.packages)}"] if recipe.parts.packages else []),
        "--skip=cleanup/apt/lists",  # their date is the epoch; clean.py removes them
        *(f'--aptopt={name} "{value}"' for name, value in options),
        recipe.suite,
        str(tree),
        *lines,
    ]
