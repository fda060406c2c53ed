"""``vztmpl verify``: whether a template is what a trusted key says it is."""

from pathlib import Path

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.parts import keyring, remotes
from vztmpl.errors import VerificationError
from vztmpl.repo.verify import verify
from vztmpl.settings import Node
from vztmpl.template import archive


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust the public keys in this file and no others.",
)
@click.pass_obj
def command(node: Node, file: Path, key: Path | None) -> None:
    """Check a template's signature and content.

    FILE is the NAME.tar.zst; the manifest and its signature are found beside it. Without --key
    the keys of this machine and of all remotes are trusted. Exit code 6 when anything is wrong.

    \b
    Example:
      vztmpl verify debian-13-x86_64-minimal.tar.zst --key key.asc
    """
    verified = verify(file, key.read_bytes() if key else _known_keys(node))
    manifest = verified.manifest
    with progress.shown() as shown:
        shown.phase(f"reading {file.name}", manifest.unpacked_bytes)
        archive.check(file, manifest.digest, manifest.unpacked_bytes, shown.advance)
    click.echo(f"{manifest.name} {manifest.serial} is good")
    click.echo(f"signer: {verified.signer}")
    click.echo(f"digest: {manifest.digest}")


def _known_keys(node: Node) -> bytes:
    ring = keyring(node)
    keys = [ring.export(key.fingerprint).encode() for key in ring.keys()]  # noqa: SIM118 - no dict
    keys += [remote.keys.read_bytes() for remote in remotes(node).all()]
    if not keys:
        hint = "name the publisher's public key with --key FILE"
        raise VerificationError("there is no key to verify with", hint=hint)
    return b"\n".join(keys)
