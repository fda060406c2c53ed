"""Bootstrapping Debian with mmdebstrap, in two layers that are kept apart.

An apt of our own selects and verifies every package first. mmdebstrap then gets a small archive of
exactly those of the first layer (what is essential and required), apt one of the second (what the
recipe adds). Recipes share the first; and a lock file rebuilds both without the archive's indexes.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build import debs, installed, own_manager
from vztmpl.build.apt import Apt, apt_settings, explained
from vztmpl.build.chroot import run_inside
from vztmpl.build.customise import run_scripts
from vztmpl.build.foreign import require_runnable
from vztmpl.build.keys import require_keys
from vztmpl.build.package import Package, Resolved, identities
from vztmpl.build.parts import Stage
from vztmpl.build.recipe import Recipe
from vztmpl.build.sources import Sources, default_lines, host_sources, leave_sources, lines_of
from vztmpl.build.steps import Step
from vztmpl.errors import CommandError
from vztmpl.files import locked, remove_tree
from vztmpl.progress import Progress
from vztmpl.run import confined, run

_BASE = ("?essential", "?priority(required)", "apt")
"""What mmdebstrap's variant `minbase` installs."""
_SET_UP = "Setting up "  # dpkg says so once for each package
_FIXED_EPOCH = {"SOURCE_DATE_EPOCH": "86400"}  # for packages' scripts; steps.py has the tree's
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "DEBCONF_NONINTERACTIVE_SEEN": "true"}
_NO_SANDBOX = '--aptopt=APT::Sandbox::User "root"'  # else owners say who may look into our folder
_SHOW_SOURCES = """--setup-hook=cat "$1/etc/apt/sources.list"; exit 1"""
_NO_SERVICES = (
    r"printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
)
_TIDY = """
rm -f /usr/sbin/policy-rc.d /var/cache/apt/archives/*.deb
rm -rf /var/cache/debconf/tmp.ci
cat >/etc/apt/sources.list
"""
_WITH_PROC = 'mount -t proc proc "$1/proc" && shift && exec "$@"'


class Mmdebstrap:
    """Fills a tree from a Debian archive."""

    program = "mmdebstrap"

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        """A folder of its own that lasts: apt's indexes, packages."""

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        require_keys(recipe)
        require_runnable(recipe.name)

    def resolve(self, recipe: Recipe, progress: Progress) -> Resolved:
        """Ask the archive what would be installed now."""
        progress.phase("resolving packages")
        sources = host_sources(self._kept / "host")
        if recipe.mirror:
            sources = Sources(main=recipe.mirror, options=sources.options)
        lines = tuple(
            lines_of(recipe, sources, self._kept / f"keys-{recipe.name}") or own_lines(recipe)
        )
        left = lines if not recipe.parts.repositories else default_lines(recipe, sources)
        base_names = (*_BASE, *recipe.parts.base)
        questions = (base_names, (*base_names, *recipe.parts.packages))
        apt = self._apt(recipe, lines, sources.options)
        with locked(apt.folder.with_name(f"{apt.folder.name}.lck"), wait=True):
            apt.update(progress)
            with ThreadPoolExecutor(2) as asked:
                base, wanted = asked.map(apt.select, questions)
            epoch = apt.epoch
        added = tuple(package for package in wanted if package not in set(base))
        return Resolved(layers=(base, added), epoch=epoch, sources=tuple(left))

    def steps(self, recipe: Recipe, resolved: Resolved, progress: Progress) -> list[Step]:
        """Say which steps fill a tree with what was resolved."""
        base, added = resolved.layers

        def bootstrap(tree: Path) -> None:
            debs.fetch(resolved.packages, self._packages, progress)
            progress.phase(f"bootstrapping with {self.program}", len(base), "packages")
            with ThreadPoolExecutor(1) as ahead:  # the second archive while the first is used
                line = self._archive(base, tree, "base")
                ready = ahead.submit(self._archive, added, tree, "added")
                _bootstrap(recipe, line, tree, progress)
                ready.result()
            _settle_devices(tree)
            remove_tree(tree.with_name("base"))

        def scripts(tree: Path) -> None:
            progress.phase("running early scripts")
            run_scripts(recipe, Stage.BOOTSTRAP, tree, resolved.epoch, progress)

        def install(tree: Path) -> None:
            debs.fetch(added, self._packages, progress)
            progress.phase("installing packages", len(added), "packages")
            _install(recipe, self._archive(added, tree, "added"), tree, progress)
            sources = "".join(f"{line}\n" for line in resolved.sources)
            run_inside(tree, ["sh", "-euc", _TIDY], stdin=sources)
            leave_sources(recipe, tree, resolved.sources)
            own_manager.take_out(tree, recipe.parts.remove, progress)
            remove_tree(tree.with_name("added"))

        early = [one for one in recipe.parts.scripts if one.stage is Stage.BOOTSTRAP]
        origins = [asdict(one) for one in recipe.parts.repositories]
        wanted = [recipe.parts.packages, recipe.parts.remove, origins]
        return [
            Step(
                title=f"bootstrapping with {self.program}",
                inputs=[self._tools(), recipe.arch, recipe.parts.base, identities(base)],
                work=bootstrap,
            ),
            *(
                [Step(title="early scripts", inputs=[*map(asdict, early)], work=scripts)]
                if early
                else []
            ),
            Step(
                title="installing packages",
                inputs=[wanted, resolved.sources, identities(added)],
                work=install,
            ),
        ]

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, ``name:arch`` to version."""
        return installed.dpkg_packages(tree)

    def version(self) -> str:
        """Return the program's version."""
        return self._version

    @cached_property
    def _version(self) -> str:
        return run([self.program, "--version"]).split()[-1]

    def _apt(
        self, recipe: Recipe, lines: Sequence[str], options: tuple[tuple[str, str], ...]
    ) -> Apt:
        keys = [one.key.content for one in recipe.parts.repositories if one.key]
        known = "\n".join([*lines, *keys]).encode(errors="surrogateescape")
        name = f"{recipe.suite}-{recipe.arch}-{hashlib.sha256(known).hexdigest()[:16]}"
        return Apt(
            folder=self._kept / "apt" / name,
            os=recipe.name.os,
            arch=recipe.arch,
            sources=tuple(lines),
            options=options,
        )

    def _tools(self) -> list[str]:
        others = (run([program, "--version"]).splitlines()[0] for program in ("apt-get", "dpkg"))
        return [self.version(), *others]

    @property
    def _packages(self) -> Path:
        return self._kept / "packages"

    def _archive(self, packages: Sequence[Package], tree: Path, name: str) -> str:
        """Return the line for apt of an archive of these packages, made when it is not there."""
        folder = tree.with_name(name)
        if not folder.exists():
            debs.small_archive(packages, self._packages, folder)
        return f"deb [trusted=yes] copy:{folder} ./"


def command(recipe: Recipe, tree: Path, line: str) -> list[str]:
    """Return the argv of mmdebstrap."""
    return [
        Mmdebstrap.program,
        "--mode=root",
        "--verbose",  # or it keeps dpkg's words to itself
        "--variant=minbase",
        f"--include={','.join(['apt', *recipe.parts.base])}",
        _NO_SANDBOX,
        "--format=directory",
        f"--architectures={recipe.arch}",
        "",
        str(tree),
        line,
    ]


def own_lines(recipe: Recipe) -> list[str]:
    """Return mmdebstrap's own sources for a suite; it stops before it uses them."""
    argv = [Mmdebstrap.program, "--mode=root", "--variant=custom", "--format=null"]
    argv += [f"--architectures={recipe.arch}", _SHOW_SOURCES, recipe.suite, "/dev/null"]
    said = run(argv, ok=range(1, 256))
    return [line for line in said.splitlines() if line.startswith("deb ")]


def configuration(arch: str, tree: Path, folder: Path) -> str:
    """Return the configuration of an apt outside the tree that has dpkg run inside."""
    settings = {
        "Dir": str(tree),
        "Dir::State::status": f"{tree}/var/lib/dpkg/status",
        "Dir::State::lists": f"{folder}/lists",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": f"{folder}/sources.list",
        "Dir::Etc::sourceparts": f"{folder}/none",
        "Dir::Bin::dpkg": "env",
        "DPkg::Options": ("--unset=TMPDIR", "dpkg"),
        "DPkg::Chroot-Directory": str(tree),
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return apt_settings(settings)


def _bootstrap(recipe: Recipe, line: str, tree: Path, progress: Progress) -> None:
    env = {**_FIXED_EPOCH, "TMPDIR": str(tree.parent)}
    run(confined(command(recipe, tree, line)), env=env, on_line=debs.counting(progress, _SET_UP))


def _settle_devices(tree: Path) -> None:
    """Give /dev the time that it came with; mmdebstrap does so only where it can make devices."""
    if (tree / "dev").exists():
        came_with = (tree / "proc").stat().st_mtime_ns
        os.utime(tree / "dev", ns=(came_with, came_with))


def _install(recipe: Recipe, line: str, tree: Path, progress: Progress) -> None:
    """Install the recipe's packages in a tree that has what is essential."""
    with TemporaryDirectory(dir=tree.parent) as text:
        folder = Path(text)
        (folder / "lists/partial").mkdir(parents=True)
        (folder / "none").mkdir()
        (folder / "sources.list").write_text(f"{line}\n")
        (folder / "apt.conf").write_text(configuration(recipe.arch, tree, folder))
        run_inside(tree, ["sh", "-euc", _NO_SERVICES])
        env = {**_FIXED_EPOCH, **_QUIET, "APT_CONFIG": f"{folder}/apt.conf"}
        for words in (["update"], ["install", "--yes", "--", *recipe.parts.packages]):
            argv = ["sh", "-euc", _WITH_PROC, "sh", str(tree), "apt-get", *words]
            try:
                run(confined(argv), env=env, on_line=debs.counting(progress, _SET_UP))
            except CommandError as error:
                raise explained(error) from error
