"""Bootstrapping Fedora and the distributions of Enterprise Linux with dnf, outside the tree.

None of the host's configuration is read: repositories, keys, cache and logs are those given here.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import installed, rpm_metadata, rpmdb
from vztmpl.build.foreign import require_runnable
from vztmpl.build.keys import require_keys, write_key
from vztmpl.build.meaning import explained
from vztmpl.build.package import Resolved
from vztmpl.build.parts import Checked, Repository, Stage
from vztmpl.build.programs import require_programs
from vztmpl.build.recipe import Recipe
from vztmpl.errors import CommandError, ConfigError, during
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_CONFIG = """
[main]
gpgcheck=1
install_weak_deps=False
localpkg_gpgcheck=1
plugins=0
reposdir={work}/repos
varsdir={work}/none
zchunk=False
"""
_ONLY_ASK = ("--assumeno", "--debugsolver")  # writes debugdata/rpms/solver.result


class Dnf:
    """Fills a tree from repositories of rpm packages."""

    program = "dnf"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        require_repositories(recipe)
        require_runnable(recipe.name)
        require_programs("dnf", "rpm")

    def resolve(self, recipe: Recipe, progress: Progress) -> Resolved:
        """Find out which packages would be installed now into an empty tree."""
        with (
            TemporaryDirectory(prefix="vztmpl-dnf-") as folder,
            during(f"resolving the packages of {recipe.name}"),
            explained(),
        ):
            work, root = Path(folder), Path(folder, "root")
            environment = _configure(recipe, work)
            fetch = command(recipe, root, work, "makecache", [])
            run(confined(fetch), env=environment, on_line=progress.note)
            ask = command(recipe, root, work, "install", recipe.parts.packages, *_ONLY_ASK)
            there = ["sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", str(work)]
            said = run(confined([*there, *ask]), env=environment, ok=(0, 1))
            if "Operation aborted" not in said:
                raise CommandError(ask, 1, said)
            solved = (work / "debugdata/rpms/solver.result").read_text()
            cache, names = root / "var/cache/dnf", [one.name for one in recipe.parts.repositories]
            return rpm_metadata.resolved(
                {line.split()[1].rpartition("@")[0] for line in solved.splitlines()},
                {name: next(cache.glob(f"{name}-{'[0-9a-f]' * 16}")) for name in names},
                {one.name: one.url for one in recipe.parts.repositories},
            )

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Install the recipe's packages into the empty folder ``tree``."""
        self.install(recipe, tree, progress)

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""
        with (
            TemporaryDirectory(prefix="dnf-", dir=tree.parent) as folder,
            during(f"bootstrapping {recipe.name}"),
            explained(),
        ):
            work = Path(folder)
            environment = _configure(recipe, work)
            rpmdb.take_back(tree, work)
            argv = command(recipe, tree, work, "install", recipe.parts.packages)
            run(confined(argv), env=environment, on_line=progress.note)
            rpmdb.erase(tree, recipe.parts.remove, environment, progress)
            rpmdb.hand_over(tree, work)

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, ``name.arch`` to version."""
        return installed.packages(tree)

    def epoch(self, tree: Path) -> int:
        """Return when the newest of the packages was built, in seconds since 1970."""
        return installed.epoch(tree)

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).splitlines()[0]


def require_repositories(recipe: Recipe) -> None:
    """Refuse a recipe that names no repositories, or one that nothing vouches for."""
    if not recipe.parts.repositories:
        raise ConfigError(recipe.name, "repositories", f"{recipe.bootstrapper} needs at least one")
    for one in recipe.parts.repositories:
        if not one.key:
            raise ConfigError(recipe.name, "repositories", f"{one.name} has no `key`")
    if not recipe.parts.packages:
        raise ConfigError(recipe.name, "packages", "a tree of no packages is none")
    early = any(script.stage is Stage.BOOTSTRAP for script in recipe.parts.scripts)
    if early and not recipe.parts.base:
        problem = "scripts at `bootstrap` need packages with `base = true` to run in"
        raise ConfigError(recipe.name, "packages", problem)
    require_keys(recipe)


def command(
    recipe: Recipe, tree: Path, work: Path, verb: str, packages: Sequence[str], *options: str
) -> list[str]:
    """Return the argv of dnf; ``work`` holds its configuration."""
    return [
        Dnf.program,
        verb,
        "--assumeyes",
        f"--config={work}/dnf.conf",
        f"--installroot={tree}",
        f"--releasever={recipe.suite}",
        f"--forcearch={recipe.arch}",
        *options,
        "--",
        *packages,
    ]


def repository_file(one: Repository, key: Path) -> str:
    """Return a ``.repo`` file (dnf.conf(5), and zypper's reading of it)."""
    packages, metadata = (int(what in one.checked) for what in (Checked.PACKAGES, Checked.METADATA))
    return (
        f"[{one.name}]\nname={one.name}\nbaseurl={one.url}\nenabled=1\n"
        f"gpgcheck={packages}\npkg_gpgcheck={packages}\nrepo_gpgcheck={metadata}\n"
        f"gpgkey=file://{key}\n"
    )


def write_repositories(recipe: Recipe, work: Path) -> list[Path]:
    """Write the recipe's repositories below ``work``; return the files of their keys."""
    (work / "repos").mkdir()
    keys = []
    for one in recipe.parts.repositories:
        assert one.key is not None  # noqa: S101 - see require_repositories
        keys.append(write_key(one.key, work / "keys", one.name))
        (work / f"repos/{one.name}.repo").write_text(repository_file(one, keys[-1]))
    return keys


def _configure(recipe: Recipe, work: Path) -> dict[str, str]:
    write_repositories(recipe, work)
    (work / "dnf.conf").write_text(_CONFIG.format(work=work))
    return rpmdb.environment(work)
