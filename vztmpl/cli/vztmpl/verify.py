"""``vztmpl verify``: whether a template is what a trusted key says it is."""

from pathlib import Path

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.parts import cache, keyring, remotes
from vztmpl.errors import UsageError, VerificationError
from vztmpl.progress import Progress
from vztmpl.repo.origin import Origin
from vztmpl.repo.verify import Verified, verify, verify_base, verify_cached
from vztmpl.settings import Node
from vztmpl.template import archive
from vztmpl.template.manifest import ARCHIVE_SUFFIX


@click.command()
@click.argument("template")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust the public keys in this file and no others.",
)
@click.option("--deep", is_flag=True, help="Also compare the base of a cached template with it.")
@click.pass_obj
def command(node: Node, template: str, *, key: Path | None, deep: bool) -> None:
    """Check a template's signature and content.

    TEMPLATE is the name of a cached one, or a NAME.tar.zst; manifest and signature are found beside
    it. Without --key the keys of this machine and of all remotes are trusted. Exit code 6 when
    anything is wrong.

    \b
    Example:
      vztmpl verify debian-13-x86_64-minimal.tar.zst --key key.asc
      vztmpl verify debian-13-x86_64-minimal --deep
    """
    name = _cached_name(node, template)
    keys = key.read_bytes() if key else _known_keys(node)
    if not keys and not (name and _is_imported(node, name)):
        hint = "name the publisher's public key with --key FILE"
        raise VerificationError("there is no key to verify with", hint=hint)
    with progress.shown() as shown:
        if name:
            verified = verify_cached(cache(node), name, keys, shown)
        elif deep:
            raise UsageError(
                "--deep is for templates in the cache", hint="`vztmpl list` shows them"
            )
        else:
            verified = _verified_file(Path(template), keys, shown)
        if deep:
            verify_base(cache(node), name, shown)
    manifest = verified.manifest
    click.echo(f"{manifest.name} {manifest.serial} is good")
    click.echo(f"signer: {verified.signer or _unsigned(node, name)}")
    click.echo(f"digest: {manifest.digest}")


def _cached_name(node: Node, template: str) -> str:
    """Return the name when a template in the cache is meant."""
    if not template.endswith(ARCHIVE_SUFFIX):
        return template
    path = Path(template)
    cached = path.parent.resolve() == node.cache.resolve()
    return path.name.removesuffix(ARCHIVE_SUFFIX) if cached else ""


def _verified_file(path: Path, keys: bytes, shown: Progress) -> Verified:
    verified = verify(path, keys)
    manifest = verified.manifest
    shown.phase(f"reading {path.name}", manifest.unpacked_bytes)
    archive.check(path, manifest.digest, manifest.unpacked_bytes, shown.advance)
    return verified


def _is_imported(node: Node, name: str) -> bool:
    return Origin.load(cache(node).origin_file(name)).proof != "signature"


def _unsigned(node: Node, name: str) -> str:
    origin = Origin.load(cache(node).origin_file(name))
    return f"none; imported from {origin.source}, proof: {origin.proof}"


def _known_keys(node: Node) -> bytes:
    known = remotes(node)
    keys = [key.encode() for key in keyring(node).public_keys().values()]
    keys += [known.memory(remote).trust.keys for remote in known.all()]
    return b"\n".join(keys)
