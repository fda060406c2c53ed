"""``vztmpl build``: recipes become signed templates."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from vztmpl.build import recipe
from vztmpl.build.builder import Sign, build
from vztmpl.build.lock import Lock
from vztmpl.build.steps import Trees
from vztmpl.build.workshop import Workshop
from vztmpl.cli import progress
from vztmpl.cli.vztmpl.jobs import run_all
from vztmpl.cli.vztmpl.namespace import become_root
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import keyring
from vztmpl.cli.vztmpl.recipes import recipes_option
from vztmpl.errors import ConfigError, UsageError
from vztmpl.progress import Progress
from vztmpl.settings import Node, shipped
from vztmpl.template.manifest import Manifest, TemplateFiles


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), default=".", help="Folder for the result.")
@click.option("--sign", metavar="FPR", default="", help="Key to sign with, if there are several.")
@click.option("--unsigned", is_flag=True, help="Do not sign; nothing will publish or verify it.")
@click.option("--mirror", metavar="URL", default="", help="Package archive to install from.")
@recipes_option
@click.option(
    "--locked",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use exactly the packages that a NAME.lock of an earlier build names.",
)
@click.option(
    "--no-cache", is_flag=True, help="Do every step, as if nothing had been built before."
)
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), default=1, help="Templates to build at once."
)
@json_option
@click.pass_obj
def command(
    node: Node,
    names: tuple[str, ...],
    *,
    out: Path,
    sign: str,
    unsigned: bool,
    mirror: str,
    recipes: Path | None,
    locked: Path | None,
    no_cache: bool,
    jobs: int,
    as_json: bool,
) -> int:
    """Build templates and sign them.

    Makes NAME.tar.zst, with NAME.json, NAME.json.asc and reports beside it. What an earlier build
    did with the same inputs is not done again. SOURCE_DATE_EPOCH is honoured. Several templates are
    built -j at once, as far as memory allows; one that fails does not stop the others. A user who
    is not root builds the same bytes in a user namespace, with VZ_SYSROOT set to a folder of their
    own.

    \b
    Example:
      vztmpl build debian-13-x86_64-minimal --out /srv/build
      vztmpl build -j 4 debian-12-x86_64-minimal debian-13-x86_64-minimal
    """
    if locked and len(names) > 1:
        raise UsageError("--locked takes one template: the one that the lock file is for")
    become_root(node)
    ours = shipped("recipes")
    resolved = {
        name: recipe.resolve(recipes or ours, name, mirror=mirror, pieces=ours) for name in names
    }
    lock = Lock.read(locked) if locked else None
    signing = _signing(node, sign, unsigned=unsigned)
    workshop = workshop_of(node, keeping=not no_cache)

    def work(name: str, told: Progress) -> dict[str, object]:
        built = build(resolved[name], out.absolute(), workshop, signing, told, lock=lock)
        return _described(*built)

    if len(resolved) == 1:
        with progress.shown() as shown:
            described = work(names[0], shown)
        _show([described], described if as_json else None)
        return 0
    works = {name: partial(work, name) for name in resolved}
    ended = run_all(works, jobs, workshop.has_room_beside)
    done = [job.result for job in ended if isinstance(job.result, dict)]
    _show(done, done if as_json else None)
    return next((job.status for job in ended if job.status), 0)


def workshop_of(node: Node, *, keeping: bool = True) -> Workshop:
    """Return this node's place for builds; ``keeping`` uses and keeps the trees of steps."""
    limit = node.setting("BUILD_CACHE_GB", "10")
    if not limit.isdecimal():
        raise ConfigError(node.etc / "vz.conf", "BUILD_CACHE_GB", f"{limit!r} is not a number")
    trees = Trees(folder=node.state / "steps", locks=node.locks, limit_bytes=int(limit) << 30)
    return Workshop(
        folder=node.state / "build",
        kept=node.state / "packages",
        trees=trees if keeping else None,
        locks=node.locks,
        tmpfs=node.setting("BUILD_TMPFS", "yes") != "no",
    )


def _signing(node: Node, wanted: str, *, unsigned: bool) -> Sign | None:
    """Find the key before the work begins, not after it."""
    if unsigned and wanted:
        raise UsageError("--sign and --unsigned exclude each other")
    if unsigned:
        return None
    keys = keyring(node)
    fingerprint = keys.signing_key(wanted)
    return lambda data: keys.sign(data, fingerprint)


def _described(manifest: Manifest, files: TemplateFiles) -> dict[str, object]:
    return {
        "name": manifest.name,
        "path": str(files.archive),
        "manifest": str(files.manifest),
        "signature": str(files.signature) if files.signature.exists() else None,
        "digest": manifest.digest,
        "serial": manifest.serial,
        "sha256": manifest.sha256,
        "size_bytes": manifest.size_bytes,
        "unpacked_bytes": manifest.unpacked_bytes,
        "lint_warnings": manifest.lint.get("warnings", 0),
    }


def _show(built: Sequence[Mapping[str, object]], json: object) -> None:
    for one in built:
        if warnings := one["lint_warnings"]:
            hint = f"`vztmpl lint {one['path']}` shows them"
            click.echo(f"lint warnings: {warnings}; {hint}", err=True)
    if json is not None:
        show_json(json)
    else:
        for one in built:
            click.echo(one["path"])
