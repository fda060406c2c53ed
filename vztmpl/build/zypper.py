"""Bootstrapping openSUSE with zypper, outside the tree.

None of the host's configuration is read. zypper is never told to accept keys by itself: those of
the recipe are imported before it sees a repository, and it trusts no others.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import installed, rpm_metadata, rpmdb
from vztmpl.build.dnf import require_repositories, write_repositories
from vztmpl.build.foreign import require_runnable
from vztmpl.build.meaning import explained
from vztmpl.build.package import Resolved
from vztmpl.build.programs import require_programs
from vztmpl.build.recipe import Recipe
from vztmpl.errors import during
from vztmpl.files import remove_tree
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_SOLVABLE = re.compile(r'<solvable type="package" name="([^"]+)" edition="([^"]+)" arch="([^"]+)"')

_CACHE = "/mnt"
"""zypper keeps its cache there on the host, and a part of it at the same path in the tree."""
_ENTER = 'mkdir -p "$1"; mount --bind "$1" "$2"; shift 2; exec "$@"'


class Zypper:
    """Fills a tree from repositories of rpm packages."""

    program = "zypper"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        require_repositories(recipe)
        require_runnable(recipe.name)
        require_programs("zypper", "rpm")

    def resolve(self, recipe: Recipe, progress: Progress) -> Resolved:
        """Find out which packages would be installed now into an empty tree."""
        with (
            TemporaryDirectory(prefix="vztmpl-zypper-") as folder,
            during(f"resolving the packages of {recipe.name}"),
            explained(),
        ):
            work, root = Path(folder), Path(folder, "root")
            root.mkdir()
            environment = _configure(recipe, root, work)
            zypper = command(recipe, root, work)
            run(confined([*zypper, "refresh"]), env=environment, on_line=progress.note)
            ask = ["--xmlout", "install", "--dry-run", "--no-recommends", "--"]
            said = run(confined([*zypper, *ask, *recipe.parts.packages]), env=environment)
            raw = work / "cache/raw"
            return rpm_metadata.resolved(
                {f"{name}-{edition}.{arch}" for name, edition, arch in _SOLVABLE.findall(said)},
                {one.name: raw / one.name for one in recipe.parts.repositories},
                {one.name: one.url for one in recipe.parts.repositories},
            )

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Install the recipe's packages into the empty folder ``tree``."""
        self.install(recipe, tree, progress)

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""
        with (
            TemporaryDirectory(prefix="zypper-", dir=tree.parent) as folder,
            during(f"bootstrapping {recipe.name}"),
            explained(),
        ):
            work = Path(folder)
            rpmdb.take_back(tree, work)
            environment = _configure(recipe, tree, work)
            zypper = command(recipe, tree, work)
            install = ["install", "--no-recommends", "--", *recipe.parts.packages]
            for verb in (["refresh"], install):
                run(confined([*zypper, *verb]), env=environment, on_line=progress.note)
            rpmdb.erase(tree, recipe.parts.remove, environment, progress)
            remove_tree(tree / "mnt/solv")
            rpmdb.hand_over(tree, work)

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, ``name.arch`` to version."""
        return installed.packages(tree)

    def epoch(self, tree: Path) -> int:
        """Return when the newest of the packages was built, in seconds since 1970."""
        return installed.epoch(tree)

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).split()[-1]


def command(recipe: Recipe, tree: Path, work: Path) -> list[str]:
    """Return the argv of zypper up to its verb; ``work`` holds its configuration."""
    return [
        *("sh", "-euc", _ENTER, "sh", f"{work}/cache", _CACHE),
        Zypper.program,
        "--non-interactive",
        f"--root={tree}",
        f"--reposd-dir={work}/repos",
        f"--cache-dir={_CACHE}",
        f"--releasever={recipe.suite}",
    ]


def _configure(recipe: Recipe, tree: Path, work: Path) -> dict[str, str]:
    """Write zypper's configuration, import the keys; return the environment that names both."""
    (work / "zypp.conf").write_text(f"[main]\narch = {recipe.arch}\n")
    environment = {**rpmdb.environment(work), "ZYPP_CONF": str(work / "zypp.conf")}
    rpm = ["rpm", f"--root={tree}", f"--dbpath=/{rpmdb.PLACE}", "--import"]
    for key in write_repositories(recipe, work):
        run(confined([*rpm, str(key)], network=False), env=environment)
    return environment
