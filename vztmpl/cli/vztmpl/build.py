"""``vztmpl build``: a recipe becomes a signed template."""

from pathlib import Path

import click

from vztmpl.build import recipe
from vztmpl.build.builder import Sign, Workshop, build
from vztmpl.cli import progress
from vztmpl.cli.vztmpl.namespace import become_root
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import keyring
from vztmpl.cli.vztmpl.recipes import recipes_option
from vztmpl.errors import UsageError
from vztmpl.settings import Node, shipped
from vztmpl.template.manifest import Manifest, TemplateFiles


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), default=".", help="Folder for the result.")
@click.option("--sign", metavar="FPR", default="", help="Key to sign with, if there are several.")
@click.option("--unsigned", is_flag=True, help="Do not sign; nothing will publish or verify it.")
@click.option("--mirror", metavar="URL", default="", help="Package archive to install from.")
@recipes_option
@json_option
@click.pass_obj
def command(
    node: Node,
    name: str,
    *,
    out: Path,
    sign: str,
    unsigned: bool,
    mirror: str,
    recipes: Path | None,
    as_json: bool,
) -> None:
    """Build a template and sign it.

    Makes NAME.tar.zst, NAME.json and NAME.json.asc. SOURCE_DATE_EPOCH is honoured. A user who is
    not root builds the same bytes in a user namespace, with VZ_SYSROOT set to a folder of theirs.

    \b
    Example:
      vztmpl build debian-13-x86_64-minimal --out /srv/build
    """
    become_root(node)
    ours = shipped("recipes")
    resolved = recipe.resolve(recipes or ours, name, mirror=mirror, pieces=ours)
    signing = _signing(node, sign, unsigned=unsigned)
    workshop = Workshop(
        folder=node.state / "build",
        locks=node.locks,
        tmpfs=node.setting("BUILD_TMPFS", "yes") != "no",
    )
    with progress.shown() as shown:
        manifest, files = build(resolved, out.absolute(), workshop, signing, shown)
    if warnings := manifest.lint.get("warnings"):
        click.echo(f"lint warnings: {warnings}; `vztmpl lint {files.archive}` shows them", err=True)
    if as_json:
        show_json(_described(manifest, files))
    else:
        click.echo(files.archive)


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
    }
