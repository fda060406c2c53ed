"""Bootstrapping Arch Linux with pacstrap, which runs the host's pacman on the tree.

None of the host's configuration is read: repositories, keyring and hooks are those given here.
"""

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import installed
from vztmpl.build.dnf import require_repositories
from vztmpl.build.foreign import require_runnable
from vztmpl.build.keys import trust, write_key
from vztmpl.build.meaning import explained
from vztmpl.build.package import Package, Resolved
from vztmpl.build.parts import Checked, Repository
from vztmpl.build.programs import require_programs
from vztmpl.build.recipe import Recipe
from vztmpl.errors import CommandError, during
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_LEVELS = {
    (Checked.METADATA, Checked.PACKAGES): "Required",
    (Checked.PACKAGES,): "PackageRequired DatabaseOptional",
    (Checked.METADATA,): "PackageNever DatabaseRequired",
}
_IGNORED = ("call to execv failed", "command failed to execute correctly")
"""Errors of a package's script that pacman prints and then succeeds."""


class Pacstrap:
    """Fills a tree from repositories of pacman packages."""

    program = "pacstrap"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        require_repositories(recipe)
        require_runnable(recipe.name)
        require_programs("pacstrap", "pacman")

    def resolve(self, recipe: Recipe, progress: Progress) -> Resolved:
        """Find out which packages would be installed now into an empty tree."""
        with (
            TemporaryDirectory(prefix="vztmpl-pacman-") as folder,
            during(f"resolving the packages of {recipe.name}"),
            explained(),
        ):
            work, root = Path(folder), Path(folder, "root")
            (root / "var/lib/pacman").mkdir(parents=True)
            _configure(recipe, root, work)
            pacman = ["pacman", f"--config={work}/pacman.conf", f"--root={root}", "--noconfirm"]
            run(confined([*pacman, "--sync", "--refresh"]), on_line=progress.note)
            ask = ["--sync", "--print", "--print-format", "package %r/%n %l", "--"]
            said = run(confined([*pacman, *ask, *recipe.parts.packages], network=False))
            wanted = [line.split()[1:] for line in said.splitlines() if line.startswith("package ")]
            return _resolved(dict(wanted), root / "var/lib/pacman/sync", recipe)

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Install the recipe's packages into the empty folder ``tree``."""
        self.install(recipe, tree, progress)

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""
        with (
            TemporaryDirectory(prefix="pacman-", dir=tree.parent) as folder,
            during(f"bootstrapping {recipe.name}"),
            explained(),
        ):
            work = Path(folder)
            _configure(recipe, tree, work)
            config = f"{work}/pacman.conf"
            pacstrap = [self.program, "-c", "-C", config, "-G", "-M", str(tree)]
            _run([*pacstrap, *recipe.parts.packages], progress)
            if recipe.parts.remove:
                remove = ["pacman", "--remove", "--nosave", "--noconfirm", f"--root={tree}"]
                _run([*remove, f"--config={config}", "--", *recipe.parts.remove], progress)
            _settle(tree)

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, name to version."""
        return installed.packages(tree)

    def epoch(self, tree: Path) -> int:
        """Return when the newest of the packages was built, in seconds since 1970."""
        return installed.epoch(tree)

    def version(self) -> str:
        """Return pacman's version; pacstrap has none of its own."""
        words = run(["pacman", "--version"]).split()
        return next(word for word in words if re.fullmatch(r"v[0-9.]+", word)).removeprefix("v")


def config_text(recipe: Recipe, tree: Path, work: Path) -> str:
    """Return a pacman.conf(5); ``work`` holds the keyring."""
    options = (
        f"[options]\nArchitecture = {recipe.arch}\nGPGDir = {work}/gnupg/\n"
        f"HookDir = {tree}/etc/pacman.d/hooks/\nCacheDir = {work}/cache/\nSigLevel = Required\n"
    )
    return options + "".join(_section(one) for one in recipe.parts.repositories)


def _section(one: Repository) -> str:
    return f"[{one.name}]\nSigLevel = {_LEVELS[one.checked]}\nServer = {one.url}\n"


def _configure(recipe: Recipe, tree: Path, work: Path) -> None:
    (work / "pacman.conf").write_text(config_text(recipe, tree, work))
    keys = {one.name: one.key for one in recipe.parts.repositories if one.key}
    webs = {name: Path(key.path) for name, key in keys.items() if _is_web(Path(key.path))}
    (work / "gnupg").mkdir(mode=0o700)
    for keyring in sorted(set(webs.values())):
        _populate(keyring, work)
    for name in sorted(set(keys) - set(webs)):
        trust(write_key(keys[name], work / "keys", name), work / "gnupg")


def _settle(tree: Path) -> None:
    """Let the database say that packages were installed when they were built, not when we ran."""
    for desc in (tree / "var/lib/pacman/local").glob("*/desc"):
        text = desc.read_text()
        built = installed.pacman_entry(text)["BUILDDATE"]
        desc.write_text(re.sub(r"(?<=^%INSTALLDATE%\n).*$", built, text, flags=re.MULTILINE))


def _is_web(keyring: Path) -> bool:
    return keyring.with_name(f"{keyring.stem}-trusted").is_file()


def _populate(keyring: Path, work: Path) -> None:
    """Make a keyring of many packagers, for each of whom several master keys have to vouch.

    pacman-key does it from an installed NAME.gpg, NAME-trusted and NAME-revoked, within seconds.
    """
    pacman_key = ["pacman-key", f"--gpgdir={work}/gnupg", f"--config={work}/pacman.conf"]
    run(confined([*pacman_key, "--init"], network=False))
    run(confined([*pacman_key, "--populate", keyring.stem], network=False))


def _run(argv: Sequence[str], progress: Progress) -> None:
    said = run(confined(argv), on_line=progress.note)
    if any(words in said for words in _IGNORED):
        raise CommandError(argv, 1, said, hint="the script of a package failed")


def _resolved(urls: dict[str, str], databases: Path, recipe: Recipe) -> Resolved:
    """Look up ``repository/package`` in the databases that pacman has fetched and verified."""
    found: dict[str, dict[str, str]] = {}
    for one in recipe.parts.repositories:
        with tarfile.open(databases / f"{one.name}.db") as database:
            for member in database:
                if member.name.endswith("/desc") and (file := database.extractfile(member)):
                    entry = installed.pacman_entry(file.read().decode())
                    found[f"{one.name}/{entry['NAME']}"] = entry
    entries = {name: found[name] for name in sorted(urls)}
    packages = tuple(
        Package(
            name=entry["NAME"],
            version=entry["VERSION"],
            arch=entry["ARCH"],
            sha256=entry.get("SHA256SUM", ""),
            url=urls[name],
        )
        for name, entry in entries.items()
    )
    return Resolved(
        layers=(packages,),
        epoch=max(int(entry["BUILDDATE"]) for entry in entries.values()),
        sources=tuple(one.url for one in recipe.parts.repositories),
    )
