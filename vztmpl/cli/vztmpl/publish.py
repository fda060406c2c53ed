"""``vztmpl publish``: templates go into a repository."""

from pathlib import Path

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import keyring
from vztmpl.errors import ConfigError, UsageError
from vztmpl.repo.formats.config import Publishing
from vztmpl.repo.formats.push import push
from vztmpl.repo.policy import Policy
from vztmpl.repo.publish import Published, publish
from vztmpl.settings import Node


@click.command()
@click.argument("repo", type=click.Path(file_okay=False, path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sign", metavar="FPR", default="", help="Key to sign with, if there are several.")
@click.option(
    "--formats",
    metavar="WORDS",
    help='For whom else: incus,lxc,oci,openvz,proxmox,systemd, or "" for nobody.',
)
@click.option("--push", "registry", metavar="URL", help="Push images to docker://HOST/PATH too.")
@json_option
@click.pass_obj
def command(
    node: Node,
    repo: Path,
    files: tuple[Path, ...],
    *,
    sign: str,
    formats: str | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Add signed templates to the repository in the folder REPO.

    Any web server can serve the folder. Deltas since the builds before are made, and builds beyond
    those that are kept leave the index; REPO/repository.toml says how many. Without FILEs the index
    is signed anew and all images are pushed. Give REPO/key.asc to those who add the repository as a
    remote. What --formats and --push say is kept in REPO/repository.toml.

    \b
    Example:
      vztmpl publish /srv/www/templates debian-13-x86_64-minimal.tar.zst
      vztmpl publish /srv/www/templates --formats incus,lxc,systemd
    """
    repository, keys = repo.absolute(), keyring(node)
    before = Publishing.load(repository)
    publishing = _asked(before, formats, registry)
    with progress.shown() as shown:
        done = publish(
            repository,
            files,
            keys,
            keys.signing_key(sign),
            policy=Policy.load(repository),
            publishing=None if publishing == before else publishing,
            progress=shown,
        )
        if publishing.push:
            builds = [(entry.name, entry.serial) for entry in done.entries]
            push(repository, builds, publishing.push, shown)
    if as_json:
        show_json(described(repository, done))
    else:
        for entry in done.entries:
            click.echo(f"{entry.name} {entry.serial} is published")
        for entry in done.dropped:
            click.echo(f"{entry.name} {entry.serial} left the index")


def described(repository: Path, done: Published) -> dict[str, object]:
    """Say as JSON what publishing came to."""
    return {
        "repository": str(repository),
        "templates": [
            {
                "name": entry.name,
                "serial": entry.serial,
                "digest": entry.digest,
                "path": entry.path,
                "deltas": {one.since: entry.files[one.file].size_bytes for one in entry.deltas},
            }
            for entry in done.entries
        ],
        "dropped": [entry.path for entry in done.dropped],
        "removed": [*done.removed],
    }


def _asked(before: Publishing, formats: str | None, registry: str | None) -> Publishing:
    """Return what the repository's file is to say."""
    words = before.formats if formats is None else tuple(formats.replace(",", " ").split())
    pushed_to = before.push if registry is None else registry
    try:
        return Publishing.of(words, "publish", push=pushed_to, title=before.title, url=before.url)
    except ConfigError as error:
        raise UsageError(str(error), hint=error.hint) from error
