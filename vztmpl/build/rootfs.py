"""Importing a root file system: a tarball, pinned by its sha256 or by a signature."""

from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import installed, own_manager
from vztmpl.build.download import fetch
from vztmpl.build.foreign import require_runnable
from vztmpl.build.keys import require_keys
from vztmpl.build.parts import Source
from vztmpl.build.recipe import Recipe
from vztmpl.errors import ConfigError, during
from vztmpl.progress import Progress
from vztmpl.run import confined, run


class Rootfs:
    """Fills a tree from a tarball; packages come by the package manager that is in it."""

    program = "tar"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        the_source(recipe)
        require_keys(recipe)
        require_runnable(recipe.name)

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Unpack the tarball into the empty folder ``tree``, and install the recipe's packages."""
        unpack(recipe, tree, progress)
        self.install(recipe, tree, progress)

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""
        with during(f"bootstrapping {recipe.name}"):
            own_manager.bring_in(tree, recipe.parts.packages, progress)
            own_manager.take_out(tree, recipe.parts.remove, progress)

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, as the package manager in the tree calls them."""
        return installed.packages(tree)

    def epoch(self, tree: Path) -> int:
        """Return when the newest package was built or the image made, in seconds since 1970."""
        return installed.epoch(tree)

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).splitlines()[0].split()[-1]


def the_source(recipe: Recipe) -> Source:
    """Return the one source that a recipe has to name for a template."""
    if len(recipe.parts.sources) != 1:
        problem = f"must be exactly one for {recipe.bootstrapper}, not {len(recipe.parts.sources)}"
        raise ConfigError(recipe.name, "source", problem)
    return recipe.parts.sources[0]


def unpack(recipe: Recipe, tree: Path, progress: Progress) -> None:
    """Fetch, verify and unpack the recipe's tarball; GNU tar keeps within the empty ``tree``."""
    with (
        TemporaryDirectory(prefix="rootfs-", dir=tree.parent) as folder,
        during(f"bootstrapping {recipe.name}"),
    ):
        file = fetch(the_source(recipe), Path(folder), progress)
        run(confined(command(file, tree), network=False), on_line=progress.note)


def command(file: Path, tree: Path) -> list[str]:
    """Return the argv of tar; it finds out the compression by itself."""
    return [
        "tar", "--extract", f"--file={file}", f"--directory={tree}",
        "--numeric-owner", "--same-owner", "--preserve-permissions", "--delay-directory-restore",
        "--xattrs", "--xattrs-include=*", "--acls",
        "--anchored", "--exclude=./dev/*", "--exclude=dev/*",
    ]  # fmt: skip
