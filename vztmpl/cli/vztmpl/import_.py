"""``vztmpl import``: a tarball of any origin becomes a template."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import cache, keyring
from vztmpl.errors import NotFoundError, UsageError
from vztmpl.files import replacing
from vztmpl.progress import Progress
from vztmpl.repo.fetch import is_url, save
from vztmpl.repo.intake import Proof, Tarball, take_in
from vztmpl.repo.origin import Origin
from vztmpl.settings import Node
from vztmpl.template.manifest import Manifest, TemplateFiles

_SIGNATURES = (".asc", ".sig", ".gpg")


@click.command()
@click.argument("tarball", metavar="FILE|URL")
@click.option("--name", required=True, help="Name of the template: OS-VERSION-ARCH[-SET].")
@click.option("--sha256", default="", help="What the file has to hash to.")
@click.option("--sha512", default="", help="The same in another form.")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public keys; one of them has to have signed the file.",
)
@click.option(
    "--signature", default="", help="FILE|URL of the signature, unless it is beside the file."
)
@click.option("--unsigned", is_flag=True, help="Take it as it is: nothing is proven.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it there, signed with our key.")
@click.option("--sign", metavar="FPR", default="", help="Key to sign with, if there are several.")
@json_option
@click.pass_obj
def command(
    node: Node,
    tarball: str,
    *,
    name: str,
    sha256: str,
    sha512: str,
    key: Path | None,
    signature: str,
    unsigned: bool,
    out: Path | None,
    sign: str,
    as_json: bool,
) -> None:
    """Make a template of the root file system in a tarball of any origin.

    It goes into the cache; with --out it is signed and written there, to be published. Say what
    proves that it is the right one: --sha256, --key, or --unsigned if nothing does. Needs root.

    \b
    Example:
      vztmpl import rootfs.tar.xz --name alpine-3.20-x86_64 --sha256 0a1b…
      vztmpl import https://example.org/rootfs.tar.gz --name void-1-x86_64 --key void.asc
    """
    if sum((bool(sha256), bool(sha512), key is not None, unsigned)) != 1:
        hint = "--unsigned takes it without proof; that is your choice, and is noted down"
        raise UsageError("say one of --sha256, --sha512, --key and --unsigned", hint=hint)
    signer = keyring(node).signing_key(sign) if out else ""
    target = out or node.cache
    target.mkdir(parents=True, exist_ok=True)
    with (
        progress.shown() as shown,
        TemporaryDirectory(prefix=".import-", dir=target) as scratch,
    ):
        folder = Path(scratch)
        path = _here(tarball, folder / "tarball", shown)
        proof = Proof(
            algorithm="sha512" if sha512 else "sha256" if sha256 else "",
            checksum=sha512 or sha256,
            signature=_signature(tarball, signature, folder, shown) if key else None,
            keys=key.read_bytes() if key else b"",
        )
        come = Tarball(path=path, source=tarball)
        manifest, files = take_in(come, name, proof, folder, shown)
        if out:
            files.signature.write_bytes(keyring(node).sign(manifest.to_json(), signer))
            final = TemplateFiles.of(out, name)
            for file, place in zip(files.all, final.all, strict=True):
                file.rename(place)
        else:
            _cache(node, manifest, files, proof)
            cache(node).base(name, shown)
    if as_json:
        show_json({"name": name, "serial": manifest.serial, "digest": manifest.digest,
                   "origin": dict(manifest.origin)})  # fmt: skip
    else:
        click.echo(f"{name} {manifest.serial} is imported, proof: {manifest.origin['proof']}")


def _here(source: str, target: Path, shown: Progress) -> Path:
    """Return a file, which is downloaded when a URL is given."""
    if not is_url(source):
        if not Path(source).is_file():
            raise NotFoundError(
                f"{source}: no such file", hint="give a file, or a URL with http(s)"
            )
        return Path(source)
    shown.phase(f"downloading {source}")
    with replacing(target) as file:
        save(source, file, shown.advance)
    return target


def _signature(tarball: str, given: str, folder: Path, shown: Progress) -> Path:
    """Return the detached signature: the one given, or the first that stands beside the file."""
    for candidate in (given,) if given else (tarball + end for end in _SIGNATURES):
        try:
            return _here(candidate, folder / "signature", shown)
        except NotFoundError:
            continue
    raise NotFoundError(
        f"{tarball} has no signature beside it", hint="name it with --signature FILE|URL"
    )


def _cache(node: Node, manifest: Manifest, files: TemplateFiles, proof: Proof) -> None:
    origin = Origin(
        source=manifest.origin["source"],
        proof=proof.kind,
        signer=manifest.origin.get("signer", ""),
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    with cache(node).replacing(manifest.name) as places:
        files.archive.rename(places.archive)
        origin.save(places.archive.with_name(f"{manifest.name}.origin"))
        files.manifest.rename(places.manifest)
