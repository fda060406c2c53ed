"""What is known of a build before any of it is done: its inputs, its steps, its key."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from vztmpl import __version__
from vztmpl.build.customise import customise, run_scripts
from vztmpl.build.lock import Lock
from vztmpl.build.package import Package, Resolved
from vztmpl.build.parts import Parts, Stage
from vztmpl.build.recipe import Recipe
from vztmpl.build.steps import Step, keys
from vztmpl.errors import ConfigError, NotFoundError, VztmplError
from vztmpl.progress import Progress
from vztmpl.run import run
from vztmpl.template import archive

_MAX_EPOCH_DIGITS = 11  # until the year 5138: more does not fit the four digits in a serial


class Bootstrapper(Protocol):
    """What every bootstrapper can do; one small module each."""

    program: str

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, name to version."""

    def version(self) -> str:
        """Return the program's version."""


@runtime_checkable
class Foreseeing(Bootstrapper, Protocol):
    """One that says what it will do before it does it, so that its work can be kept."""

    def resolve(self, recipe: Recipe, progress: Progress) -> Resolved:
        """Find out what would be installed now, as cheaply as that can be known for sure."""

    def steps(self, recipe: Recipe, resolved: Resolved, progress: Progress) -> list[Step]:
        """Say which steps fill an empty folder with exactly what was resolved."""


@runtime_checkable
class Unforeseeing(Bootstrapper, Protocol):
    """One that knows what it took from where only when it is done."""

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Fill the empty folder ``tree`` with the recipe's packages."""

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""

    def epoch(self, tree: Path) -> int:
        """Return the date of the newest input, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that is known of a build before any of it is done."""

    recipe: Recipe
    bootstrapper: Bootstrapper
    resolved: Resolved | None
    """None: what it is made of can only be seen afterwards."""
    known_epoch: int | None
    """The newest time that anything in the template may have, if that can be known before."""
    steps: list[Step]
    tools: dict[str, str]

    @property
    def key(self) -> str:
        """Return a sha256 (hex) over all that can change the template; empty: nothing is kept."""
        if not self.resolved or not isinstance(self.bootstrapper, Foreseeing):
            return ""
        if any(script.network for script in self.recipe.parts.scripts):
            return ""  # nobody knows what it will bring
        said = [keys(self.steps)[-1], self.recipe.digest, self.known_epoch, self.tools]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def made_of(self, tree: Path) -> Resolved:
        """Return what the tree was made of; NotFoundError when that is not what a lock says."""
        epoch = _epoch(self.bootstrapper, self.known_epoch, tree)
        if self.resolved and isinstance(self.bootstrapper, Foreseeing):
            return replace(self.resolved, epoch=epoch)
        installed = self.bootstrapper.packages(tree)
        if self.resolved:
            _require(self.resolved, installed)
        packages = (Package(name=name, version=installed[name]) for name in sorted(installed))
        return Resolved(layers=(tuple(packages),), epoch=epoch)


def plan(
    recipe: Recipe,
    bootstrapper: Foreseeing | Unforeseeing,
    lock: Lock | None,
    fixed_epoch: int | None,
    progress: Progress,
) -> Plan:
    """Find out what a build, or a build from a lock file, is made of and how."""
    if lock and lock.name != str(recipe.name):
        raise VztmplError(f"the lock file is for {lock.name}, not for {recipe.name}")
    resolved = lock.resolved if lock else None
    if isinstance(bootstrapper, Foreseeing):
        resolved = resolved or bootstrapper.resolve(recipe, progress)
        steps = bootstrapper.steps(recipe, resolved, progress)
    else:
        steps = [_unforeseen(recipe, bootstrapper, progress)]
    steps[0] = replace(steps[0], inputs=[_own_code(), recipe.bootstrapper, steps[0].inputs])

    epoch = resolved.epoch if resolved and fixed_epoch is None else fixed_epoch
    return Plan(
        recipe=recipe,
        bootstrapper=bootstrapper,
        resolved=resolved,
        known_epoch=epoch,
        steps=[*steps, *_customising(recipe, bootstrapper, epoch, progress)],
        tools=_tools(bootstrapper),
    )


def fixed_epoch_of_environment() -> int | None:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch), if it is set."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= _MAX_EPOCH_DIGITS):
        raise ConfigError(
            "environment", "SOURCE_DATE_EPOCH", f"{text!r} is not a number of seconds"
        )
    return int(text) if text else None


def _unforeseen(recipe: Recipe, bootstrapper: Unforeseeing, progress: Progress) -> Step:
    def work(tree: Path) -> None:
        progress.phase(f"bootstrapping with {bootstrapper.program}")
        if all(script.stage is not Stage.BOOTSTRAP for script in recipe.parts.scripts):
            bootstrapper.bootstrap(recipe, tree, progress)
            return
        parts = replace(recipe.parts, packages=recipe.parts.base, remove=[])
        bootstrapper.bootstrap(replace(recipe, parts=parts), tree, progress)
        run_scripts(recipe, Stage.BOOTSTRAP, tree, bootstrapper.epoch(tree), progress)
        bootstrapper.install(recipe, tree, progress)

    return Step(title=f"bootstrapping with {bootstrapper.program}", inputs=None, work=work)


def _require(locked: Resolved, installed: Mapping[str, str]) -> None:
    """Refuse what is not exactly as locked: such a bootstrapper takes what its archive has."""
    wanted = {package.name: package.version for package in locked.packages}
    for name in sorted(wanted.keys() | installed.keys()):
        if wanted.get(name) != installed.get(name):
            raise NotFoundError(
                f"locked is {name} {wanted.get(name, '(not at all)')},"
                f" the archive has {installed.get(name, 'none')}",
                hint="an archive keeps old versions for a while only; build without --locked",
            )


def _epoch(bootstrapper: Bootstrapper, known: int | None, tree: Path) -> int:
    if known is None and isinstance(bootstrapper, Unforeseeing):
        return bootstrapper.epoch(tree)
    return known or 0


def _customising(
    recipe: Recipe, bootstrapper: Bootstrapper, epoch: int | None, progress: Progress
) -> list[Step]:
    """Part what the recipe changes in two: a change of a final script repeats no other work."""
    scripts = recipe.parts.scripts
    last = Parts(scripts=[script for script in scripts if script.stage is Stage.FINAL])
    first = replace(recipe.parts, scripts=[one for one in scripts if one not in last.scripts])

    def step(title: str, parts: Parts) -> Step:
        part = replace(recipe, parts=parts)

        def work(tree: Path) -> None:
            progress.phase(title)
            customise(part, tree, _epoch(bootstrapper, epoch, tree), progress)

        inputs = [asdict(replace(parts, packages=[])), epoch]
        return Step(title=title, inputs=inputs, work=work)

    return [
        step("customising", first),
        *([step("running final scripts", last)] * bool(last.scripts)),
    ]


def _tools(bootstrapper: Bootstrapper) -> dict[str, str]:
    return {
        "vztmpl": __version__,
        bootstrapper.program: bootstrapper.version(),
        "tar": run(["tar", "--version"]).splitlines()[0].split()[-1],
        "libzstd": archive.library_version(),
    }


@cache
def _own_code() -> str:
    """Return a digest of the code that builds: another version of it may build otherwise."""
    code = hashlib.sha256(__version__.encode())
    for path in (*sorted(Path(__file__).parent.glob("*.py")), Path(archive.__file__)):
        code.update(hashlib.sha256(path.read_bytes()).digest())
    return code.hexdigest()
