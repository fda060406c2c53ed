"""The flow of a build: a recipe becomes a signed template."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from vztmpl import __version__, kernel
from vztmpl.build.apk import Apk
from vztmpl.build.clean import clean
from vztmpl.build.customise import customise, run_scripts
from vztmpl.build.debootstrap import Debootstrap
from vztmpl.build.dnf import Dnf
from vztmpl.build.lint_alongside import linting
from vztmpl.build.mmdebstrap import Mmdebstrap
from vztmpl.build.oci import Oci
from vztmpl.build.pacstrap import Pacstrap
from vztmpl.build.parts import Stage
from vztmpl.build.provenance import provenance
from vztmpl.build.recipe import Recipe
from vztmpl.build.rootfs import Rootfs
from vztmpl.build.zypper import Zypper
from vztmpl.errors import ConfigError, during
from vztmpl.files import locked, remove_abandoned, remove_tree, replacing
from vztmpl.progress import Progress
from vztmpl.run import run
from vztmpl.template import archive
from vztmpl.template.manifest import Manifest, TemplateFiles

_TMPFS_NEEDS_BYTES = 4 << 30
_MAX_EPOCH_DIGITS = 11  # until the year 5138: more does not fit the four digits in a serial

Sign = Callable[[bytes], bytes]
"""Makes the detached signature of a manifest."""


class Bootstrapper(Protocol):
    """What every bootstrapper can do; one small module each."""

    program: str

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Fill the empty folder ``tree`` with the recipe's packages."""

    def install(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Bring in the recipe's packages that are missing, take out those it does not want."""

    def packages(self, tree: Path) -> dict[str, str]:
        """Return the installed packages, name to version."""

    def epoch(self, tree: Path) -> int:
        """Return the date of the newest input, in seconds since 1970."""

    def version(self) -> str:
        """Return the program's version."""


BOOTSTRAPPERS: dict[str, Callable[[], Bootstrapper]] = {
    "mmdebstrap": Mmdebstrap,
    "debootstrap": Debootstrap,
    "pacstrap": Pacstrap,
    "dnf": Dnf,
    "zypper": Zypper,
    "apk": Apk,
    "rootfs": Rootfs,
    "oci": Oci,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where building happens."""

    folder: Path
    """Trees are built below it; nothing stays there."""
    locks: Path
    tmpfs: bool
    """Whether trees may be built in memory when there is enough."""


def build(
    recipe: Recipe, out: Path, workshop: Workshop, sign: Sign | None, progress: Progress
) -> tuple[Manifest, TemplateFiles]:
    """Build a template into the folder ``out``; without ``sign`` it stays unsigned.

    The process gets a mount namespace of its own. The files appear under their final names only
    when all is done, the manifest last.
    """
    from vztmpl.build.sbom import Packages, sbom  # its library is for those who build only

    bootstrapper = bootstrapper_of(recipe)
    bootstrapper.check(recipe)
    fixed_epoch = _fixed_epoch()
    files = TemplateFiles.of(out, str(recipe.name))
    out.mkdir(parents=True, exist_ok=True)
    with (
        locked(workshop.locks / f"build-{recipe.name}.lck"),
        during(f"building {recipe.name}"),
        _tree(recipe, workshop) as tree,
    ):
        for file in (*files.all, *files.extras):
            remove_abandoned(file)
        progress.phase(f"bootstrapping with {bootstrapper.program}")
        fill(bootstrapper, recipe, tree, progress)
        epoch = bootstrapper.epoch(tree) if fixed_epoch is None else fixed_epoch
        progress.phase("customising")
        customise(recipe, tree, epoch, progress)
        packages = bootstrapper.packages(tree)
        progress.phase("cleaning")
        clean(tree, epoch)
        installed = Packages.of(tree, packages)
        tools = _tools(bootstrapper)
        with ExitStack() as placing:  # leaves in reverse order: the manifest last
            manifest_file = placing.enter_context(replacing(files.manifest))
            signature_file = placing.enter_context(replacing(files.signature))
            archive_file = placing.enter_context(replacing(files.archive))
            progress.phase("packing", _size_bytes(tree))
            with linting(recipe.name, epoch, recipe.parts.waivers, files.archive) as (feed, found):
                packed = archive.pack(tree, archive_file, epoch, progress.advance, watch=feed)
            report = found.result()
            report.require_no_errors()
            extras = {files.sbom.name: sbom(recipe.name, packed.digest, epoch, installed)}
            extras[files.provenance.name] = provenance(recipe, packed, epoch, tools, extras)
            for name, text in extras.items():
                placing.enter_context(replacing(out / name)).write(text)
            manifest = Manifest(
                name=str(recipe.name),
                serial=_serial(fixed_epoch),
                digest=packed.digest,
                sha256=packed.sha256,
                size_bytes=packed.size_bytes,
                unpacked_bytes=packed.unpacked_bytes,
                epoch=epoch,
                description=recipe.description,
                recipe=recipe.digest,
                packages=packages,
                metadata=recipe.parts.metadata,
                tools=tools,
                files={name: sha256(text).hexdigest() for name, text in extras.items()},
                lint=report.summary(),
            )
            manifest_file.write(manifest.to_json())
            if sign:
                progress.phase("signing")
                signature_file.write(sign(manifest.to_json()))
        if not sign:
            files.signature.unlink()
    return manifest, files


def bootstrapper_of(recipe: Recipe) -> Bootstrapper:
    """Return what a recipe is bootstrapped with."""
    try:
        return BOOTSTRAPPERS[recipe.bootstrapper]()
    except KeyError as error:
        problem = f"{recipe.bootstrapper!r} is not one of {', '.join(BOOTSTRAPPERS)}"
        raise ConfigError(recipe.name, "bootstrapper", problem) from error


def fill(bootstrapper: Bootstrapper, recipe: Recipe, tree: Path, progress: Progress) -> None:
    """Bootstrap in one go, or around the scripts that have to run before the packages come."""
    if all(script.stage is not Stage.BOOTSTRAP for script in recipe.parts.scripts):
        bootstrapper.bootstrap(recipe, tree, progress)
        return
    parts = replace(recipe.parts, packages=recipe.parts.base, remove=[])
    bootstrapper.bootstrap(replace(recipe, parts=parts), tree, progress)
    run_scripts(recipe, Stage.BOOTSTRAP, tree, bootstrapper.epoch(tree), progress)
    bootstrapper.install(recipe, tree, progress)


@contextmanager
def _tree(recipe: Recipe, workshop: Workshop) -> Iterator[Path]:
    """Yield a path for the tree, in memory when it fits, and remove all of it afterwards."""
    place = workshop.folder / str(recipe.name)
    remove_tree(place)
    remove_abandoned(place)
    place.mkdir(parents=True)
    kernel.own_mount_namespace()  # whatever is mounted from here on goes with this process
    in_memory = workshop.tmpfs and _available_bytes() >= _TMPFS_NEEDS_BYTES
    try:
        if in_memory:
            kernel.mount("vztmpl-build", place, "tmpfs", options="mode=755,size=50%")
        tree = place / "tree"
        tree.mkdir()
        yield tree
    finally:
        if in_memory:
            kernel.unmount(place, lazily=True)
        remove_tree(place)


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _size_bytes(tree: Path) -> int:
    return int(run(["du", "--summarize", "--apparent-size", "--block-size=1", tree]).split()[0])


def _tools(bootstrapper: Bootstrapper) -> dict[str, str]:
    return {
        "vztmpl": __version__,
        bootstrapper.program: bootstrapper.version(),
        "tar": run(["tar", "--version"]).splitlines()[0].split()[-1],
        "libzstd": archive.library_version(),
    }


def _fixed_epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch), if it is set."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= _MAX_EPOCH_DIGITS):
        raise ConfigError(
            "environment", "SOURCE_DATE_EPOCH", f"{text!r} is not a number of seconds"
        )
    return int(text) if text else None


def _serial(fixed_epoch: int | None) -> str:
    """Name this build by its time; SOURCE_DATE_EPOCH stands in for the clock when it is set."""
    when = datetime.now(UTC) if fixed_epoch is None else datetime.fromtimestamp(fixed_epoch, UTC)
    return f"{when:%Y%m%dT%H%MZ}"
