"""Bootstrapping Debian with mmdebstrap.

mmdebstrap takes neither the host's sources nor its apt options by itself; both are handed over.
"""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path

from vztmpl.build.chroot import run_inside
from vztmpl.build.recipe import Recipe
from vztmpl.build.sources import Sources, host_sources
from vztmpl.errors import VztmplError, during
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_FIXED_EPOCH = "86400"  # only mmdebstrap's own time stamps; ``epoch`` finds the real one afterwards


class Mmdebstrap:
    """Fills a tree from a Debian archive."""

    program = "mmdebstrap"

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Install the recipe's packages into the empty folder ``tree``."""
        sources = host_sources()
        if recipe.mirror:
            sources = Sources(main=recipe.mirror, options=sources.options)
        with during(f"bootstrapping {recipe.name}"):
            run(
                confined(command(recipe, tree, sources)),
                env={"SOURCE_DATE_EPOCH": _FIXED_EPOCH, "TMPDIR": str(tree.parent)},
                on_line=progress.note,
            )

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, ``name:arch`` to version."""
        listed = run_inside(
            tree, ["dpkg-query", "--show", "--showformat=${Package}:${Architecture} ${Version}\n"]
        )
        return dict(line.split(" ", 1) for line in listed.splitlines())

    def epoch(self, tree: Path) -> int:
        """Return the newest ``Date:`` of the archive's Release files, in seconds since 1970."""
        dates = [
            line.partition(":")[2].strip()
            for release in (tree / "var/lib/apt/lists").glob("*Release")
            for line in release.read_text(errors="replace").splitlines()[:40]
            if line.startswith("Date:")
        ]
        if not dates:
            raise VztmplError("the bootstrapper left no Release file to take the date from")
        return max(int(parsedate_to_datetime(date).timestamp()) for date in dates)

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).split()[-1]


def command(recipe: Recipe, tree: Path, sources: Sources) -> Sequence[str]:
    """Return the argv of mmdebstrap."""
    options = [f'--aptopt={name} "{value}"' for name, value in sources.options]
    return [
        Mmdebstrap.program,
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--architectures={recipe.arch}",
        f"--include={','.join(recipe.parts.packages)}",
        "--skip=cleanup/apt/lists",  # their date is the epoch; clean.py removes them
        *options,
        recipe.suite,
        str(tree),
        *sources.lines(recipe.suite),
    ]
