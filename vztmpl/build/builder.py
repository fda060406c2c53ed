"""The flow of a build: a recipe becomes a signed template."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from vztmpl.build.apk import Apk
from vztmpl.build.clean import clean
from vztmpl.build.debootstrap import Debootstrap
from vztmpl.build.dnf import Dnf
from vztmpl.build.lint_alongside import linting
from vztmpl.build.lock import Lock
from vztmpl.build.mmdebstrap import Mmdebstrap
from vztmpl.build.oci import Oci
from vztmpl.build.pacstrap import Pacstrap
from vztmpl.build.plan import Foreseeing, Plan, Unforeseeing, fixed_epoch_of_environment, plan
from vztmpl.build.provenance import provenance
from vztmpl.build.recipe import Recipe
from vztmpl.build.rootfs import Rootfs
from vztmpl.build.steps import carry_out
from vztmpl.build.workshop import Workshop, tree_for
from vztmpl.build.zypper import Zypper
from vztmpl.errors import ConfigError, VztmplError, during
from vztmpl.files import locked, remove_abandoned, replacing
from vztmpl.progress import Progress
from vztmpl.run import run
from vztmpl.template import archive
from vztmpl.template.manifest import Manifest, TemplateFiles

Sign = Callable[[bytes], bytes]
"""Makes the detached signature of a manifest."""

BOOTSTRAPPERS: dict[str, Callable[[Path], Foreseeing | Unforeseeing]] = {
    "mmdebstrap": Mmdebstrap,
    "debootstrap": lambda _: Debootstrap(),
    "pacstrap": lambda _: Pacstrap(),
    "dnf": lambda _: Dnf(),
    "zypper": lambda _: Zypper(),
    "apk": lambda _: Apk(),
    "rootfs": lambda _: Rootfs(),
    "oci": lambda _: Oci(),
}
"""Each is given a folder of its own that lasts."""


def build(
    recipe: Recipe,
    out: Path,
    workshop: Workshop,
    sign: Sign | None,
    progress: Progress,
    *,
    lock: Lock | None = None,
) -> tuple[Manifest, TemplateFiles]:
    """Build a template into the folder ``out``; without ``sign`` it stays unsigned.

    With ``lock`` it is made of exactly what that names. When the template that is there would come
    out again, it stays. The process gets a mount namespace of its own. The files appear under
    their final names only when all is done, the manifest last.
    """
    files = TemplateFiles.of(out, str(recipe.name))
    fixed_epoch = None if lock else fixed_epoch_of_environment()
    bootstrapper = bootstrapper_of(recipe, workshop.kept)
    bootstrapper.check(recipe)
    out.mkdir(parents=True, exist_ok=True)
    with (
        locked(workshop.locks / f"build-{recipe.name}.lck"),
        during(f"building {recipe.name}"),
    ):
        for file in (*files.all, *files.extras):
            remove_abandoned(file)
        planned = plan(recipe, bootstrapper, lock, fixed_epoch, progress)
        manifest = _unchanged(planned, files, progress) if workshop.trees else None
        if manifest is None:
            with tree_for(str(recipe.name), workshop) as tree:
                carry_out(planned.steps, tree, workshop.trees if planned.key else None, progress)
                manifest = _finish(planned, tree, files, sign, progress)
        elif sign or files.signature.exists():
            _sign_again(manifest, files, sign)
    return manifest, files


def bootstrapper_of(recipe: Recipe, kept: Path) -> Foreseeing | Unforeseeing:
    """Return what a recipe is bootstrapped with; it keeps things below the folder ``kept``."""
    try:
        return BOOTSTRAPPERS[recipe.bootstrapper](kept / recipe.bootstrapper)
    except KeyError as error:
        problem = f"{recipe.bootstrapper!r} is not one of {', '.join(BOOTSTRAPPERS)}"
        raise ConfigError(recipe.name, "bootstrapper", problem) from error


def _finish(
    plan: Plan, tree: Path, files: TemplateFiles, sign: Sign | None, progress: Progress
) -> Manifest:
    """Clean, pack, lint and sign a tree."""
    from vztmpl.build.sbom import Packages, sbom  # its library is for those who build only

    recipe = plan.recipe
    made_of = plan.made_of(tree)
    packages = plan.bootstrapper.packages(tree)
    progress.phase("cleaning")
    clean(tree, made_of.epoch)
    installed = Packages.of(tree, packages)
    lock = Lock(
        name=str(recipe.name),
        key=plan.key,
        recipe=recipe.digest,
        mirror=recipe.mirror,
        resolved=made_of,
    ).to_json()
    with ExitStack() as placing:  # leaves in reverse order: the manifest last
        manifest_file = placing.enter_context(replacing(files.manifest))
        signature_file = placing.enter_context(replacing(files.signature))
        archive_file = placing.enter_context(replacing(files.archive))
        progress.phase("packing", _size_bytes(tree))
        with linting(recipe.name, made_of.epoch, recipe.parts.waivers, files.archive) as (
            feed,
            found,
        ):
            packed = archive.pack(tree, archive_file, made_of.epoch, progress.advance, watch=feed)
        report = found.result()
        report.require_no_errors()
        bom = sbom(recipe.name, packed.digest, made_of.epoch, installed)
        statement = provenance(
            recipe,
            packed,
            made_of.epoch,
            plan.tools,
            lock=(files.lock.name, lock),
            extras={files.sbom.name: bom},
        )
        extras = {files.lock: lock, files.sbom: bom, files.provenance: statement}
        for path, text in extras.items():
            placing.enter_context(replacing(path)).write(text)
        manifest = Manifest(
            name=str(recipe.name),
            serial=_serial(fixed_epoch_of_environment()),
            digest=packed.digest,
            sha256=packed.sha256,
            size_bytes=packed.size_bytes,
            unpacked_bytes=packed.unpacked_bytes,
            epoch=made_of.epoch,
            description=recipe.description,
            recipe=recipe.digest,
            packages=packages,
            metadata=recipe.parts.metadata,
            tools=plan.tools,
            files=_digests(extras),
            lint=report.summary(),
        )
        manifest_file.write(manifest.to_json())
        if sign:
            progress.phase("signing")
            signature_file.write(sign(manifest.to_json()))
    if not sign:
        files.signature.unlink()
    return manifest


def _digests(extras: Mapping[Path, bytes]) -> dict[str, str]:
    return {path.name: sha256(text).hexdigest() for path, text in extras.items()}


def _unchanged(plan: Plan, files: TemplateFiles, progress: Progress) -> Manifest | None:
    """Return the manifest of the template that is there, if a build would give the same."""
    try:
        manifest = Manifest.read(files.manifest)
        if not plan.key or Lock.read(files.lock).key != plan.key:
            return None
        beside = {path.name: archive.sha256_of(path)[0] for path in files.extras}
        if manifest.files != beside:
            return None
        progress.phase("checking the template of before")
        whole = archive.sha256_of(files.archive) == (manifest.sha256, manifest.size_bytes)
    except (VztmplError, FileNotFoundError):
        return None
    return manifest if whole else None


def _sign_again(manifest: Manifest, files: TemplateFiles, sign: Sign | None) -> None:
    """Sign what is there with today's key, or take its signature away."""
    if sign:
        with replacing(files.signature) as file:
            file.write(sign(manifest.to_json()))
    else:
        files.signature.unlink(missing_ok=True)


def _size_bytes(tree: Path) -> int:
    return int(run(["du", "--summarize", "--apparent-size", "--block-size=1", tree]).split()[0])


def _serial(fixed_epoch: int | None) -> str:
    """Name this build by its time; SOURCE_DATE_EPOCH stands in for the clock when it is set."""
    when = datetime.now(UTC) if fixed_epoch is None else datetime.fromtimestamp(fixed_epoch, UTC)
    return f"{when:%Y%m%dT%H%MZ}"
