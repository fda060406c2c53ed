"""Bootstrapping Debian's family with debootstrap, for hosts that have no apt.

debootstrap knows one repository and one suite. It makes the smallest tree that has apt; that apt
then installs the recipe's packages, from all of the recipe's repositories.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import installed, own_manager
from vztmpl.build.chroot import run_inside
from vztmpl.build.foreign import require_runnable
from vztmpl.build.keys import require_keys, write_keyring
from vztmpl.build.meaning import explained
from vztmpl.build.programs import require_programs
from vztmpl.build.recipe import Recipe
from vztmpl.build.sources import host_sources, leave_sources
from vztmpl.errors import during
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_SCRIPTS = Path("/usr/share/debootstrap/scripts")
_NEWEST = {"ubuntu": "gutsy", "devuan": "ceres"}
"""The script that suites newer than debootstrap itself can use; Debian's is called sid."""


class Debootstrap:
    """Fills a tree from a Debian archive."""

    program = "debootstrap"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        require_keys(recipe)
        require_runnable(recipe.name)
        require_programs("debootstrap")

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Install the recipe's packages into the empty folder ``tree``."""
        with (
            TemporaryDirectory(prefix="debootstrap-", dir=tree.parent) as folder,
            during(f"bootstrapping {recipe.name}"),
            explained(),
        ):
            run(confined(command(recipe, tree, Path(folder))), on_line=progress.note)
            leave_sources(recipe, tree, _written_lines(recipe, tree))
        self.install(recipe, tree, progress)

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""
        own_manager.bring_in(tree, recipe.parts.packages, progress)
        own_manager.take_out(tree, recipe.parts.remove, progress)

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, ``name:arch`` to version."""
        return installed.packages(tree)

    def epoch(self, tree: Path) -> int:
        """Return the newest ``Date:`` of the archive's Release files, in seconds since 1970."""
        return installed.epoch(tree)

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).split()[-1]


def _written_lines(recipe: Recipe, tree: Path) -> list[str]:
    """Return what debootstrap put into sources.list, as far as it is to stay."""
    if any(not one.extra for one in recipe.parts.repositories):
        return []
    return run_inside(tree, ["cat", "/etc/apt/sources.list"]).splitlines()


def command(recipe: Recipe, tree: Path, work: Path) -> list[str]:
    """Return the argv of debootstrap; the key goes below ``work``."""
    options, suite, mirror = [], recipe.suite, recipe.mirror
    if first := next((one for one in recipe.parts.repositories if not one.extra), None):
        suite, mirror = first.suites[0], first.url
        if first.components:
            options.append(f"--components={','.join(first.components)}")
        if first.key:
            options.append(f"--keyring={write_keyring(first.key, work, first.name)}")
    words = [suite, str(tree)]
    if mirror := mirror or host_sources().main:
        words.append(mirror)
        if not (_SCRIPTS / suite).exists():
            words.append(str(_SCRIPTS / _NEWEST.get(recipe.name.os, "sid")))
    return [
        Debootstrap.program, "--variant=minbase", "--force-check-gpg", f"--arch={recipe.arch}",
        *options, *words,
    ]  # fmt: skip
