"""Checking the files of a template against public keys, and a base against its template."""

from dataclasses import dataclass
from pathlib import Path

from vztmpl.errors import VerificationError
from vztmpl.progress import Progress
from vztmpl.repo.cache import Cache
from vztmpl.repo.deep import differences
from vztmpl.repo.origin import Origin
from vztmpl.template import archive as archives
from vztmpl.template.archive import sha256_of
from vztmpl.template.manifest import MAX_BYTES, Manifest, TemplateFiles
from vztmpl.template.signature import verify_detached

SIGNATURE_MAX_BYTES = 64 << 10
_MOST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A template that is what one of the keys says."""

    files: TemplateFiles
    manifest: Manifest
    signer: str
    """Fingerprint of the key."""


def verify(archive: Path, public_keys: bytes) -> Verified:
    """Check manifest, signature, size and sha256 of the template whose archive is given.

    VerificationError when one of the three is missing or anything is wrong; an SBOM and the like
    that the manifest names may be missing, but must not be other ones. The tar inside is not read:
    its digest stands in the signed manifest, and so does the sha256 of the whole file.
    """
    files = TemplateFiles.beside(archive)
    text = _read(files.manifest, MAX_BYTES)
    signature = _read(files.signature, SIGNATURE_MAX_BYTES)
    signer = verify_detached(text, signature, public_keys, files.manifest)
    manifest = parse_named(text, files.manifest.stem, files.manifest)
    sha256, size_bytes = sha256_of(files.archive)
    if (sha256, size_bytes) != (manifest.sha256, manifest.size_bytes):
        raise VerificationError(
            f"{archive} is not the file that its manifest names",
            hint="it was altered or cut short; fetch or build it again",
        )
    for file in files.named_by(manifest):
        if file.exists() and sha256_of(file)[0] != manifest.files[file.name]:
            hint = "it was altered; fetch or build the template again"
            raise VerificationError(f"{file} is not what the signed manifest says", hint=hint)
    return Verified(files=files, manifest=manifest, signer=signer)


def verify_cached(cache: Cache, name: str, public_keys: bytes, progress: Progress) -> Verified:
    """Check the signature of a cached template and the digest of its tar.

    One that was imported without a signature has none to check; its ``signer`` is empty then. The
    archive may be compressed otherwise than its publisher did: the tar is what counts.
    """
    manifest, files = cache.find(name), cache.files(name)
    signer = ""
    if Origin.load(cache.origin_file(name)).proof == "signature":
        text = _read(files.manifest, MAX_BYTES)
        signature = _read(files.signature, SIGNATURE_MAX_BYTES)
        signer = verify_detached(text, signature, public_keys, files.manifest)
    progress.phase(f"reading {name}", manifest.unpacked_bytes)
    archives.check(files.archive, manifest.digest, manifest.unpacked_bytes, progress.advance)
    return Verified(files=files, manifest=manifest, signer=signer)


def verify_base(cache: Cache, name: str, progress: Progress) -> None:
    """Compare a base with its template, down to the last attribute.

    Unpacks the template once more beside the base. VerificationError when they differ.
    """
    with cache.using(name) as base, cache.scratch(base.name) as fresh:
        manifest = cache.find(name)
        progress.phase(f"unpacking {name}", manifest.unpacked_bytes)
        archives.unpack(
            cache.files(name).archive,
            fresh,
            manifest.digest,
            manifest.unpacked_bytes,
            progress.advance,
        )
        progress.phase("comparing")
        found = [
            line for line, _ in zip(differences(fresh, base), range(_MOST_LINES), strict=False)
        ]
    if found:
        error = VerificationError(
            f"the base of {name} is not what its template holds",
            hint="somebody wrote to it; VEs made of it may be altered too. "
            "Move them away, then `vztmpl gc --bases` and create them anew",
        )
        for line in found:
            error.add_note(line)
        raise error


def parse_named(text: bytes, name: str, where: object) -> Manifest:
    """Read a manifest that has to be that of the template ``name``."""
    manifest = Manifest.parse(text, where)
    if manifest.name != name:
        hint = "somebody renamed the files; their names are part of what is signed"
        raise VerificationError(f"{where} is the manifest of {manifest.name}", hint=hint)
    return manifest


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except FileNotFoundError as error:
        hint = "a template is three files: NAME.tar.zst, NAME.json and NAME.json.asc"
        raise VerificationError(f"{path} is missing", hint=hint) from error
    if len(content) > limit_bytes:
        raise VerificationError(f"{path} is larger than {limit_bytes} bytes")
    return content
