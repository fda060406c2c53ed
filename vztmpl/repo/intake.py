"""The one door for a tarball of any origin: proven as far as can be, then packed as a template.

Whatever comes in (tar; gzip, xz, bzip2, zstd) is unpacked into a folder that only root can enter,
looked at, and packed again: the same tarball gives the same bytes. The manifest says where it came
from and what was proven, which is never more than that these are the bytes that somebody meant.
"""

import bz2
import gzip
import hashlib
import lzma
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

from vztmpl.errors import CommandError, VerificationError, VztmplError, during
from vztmpl.progress import Progress
from vztmpl.template import archive
from vztmpl.template.archive import Packed, Readable
from vztmpl.template.manifest import Manifest, TemplateFiles
from vztmpl.template.name import TemplateName
from vztmpl.template.signature import verify_file

MAX_UNPACKED_BYTES = 32 << 30
_MAX_RATIO = 200
"""No root file system is packed better than this; more is a bomb."""
_SMALL_BYTES = 64 << 20
_CHUNK = 1 << 20
_XZ_MEMORY_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the admin says has to be true of a tarball; nothing at all is a choice too."""

    algorithm: str = ""
    """``sha256`` or ``sha512``, with ``checksum``."""
    checksum: str = ""
    signature: Path | None = None
    keys: bytes = b""

    @property
    def kind(self) -> str:
        """Name it as ``Origin.proof`` does."""
        if self.signature:
            return "foreign signature"
        return self.algorithm or "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """A tarball that came from somewhere."""

    path: Path
    source: str
    """The file or URL, as people know it."""


def take_in(
    tarball: Tarball, name: str, proof: Proof, folder: Path, progress: Progress
) -> tuple[Manifest, TemplateFiles]:
    """Check a tarball and write the archive and manifest of a template made of it into ``folder``.

    VerificationError when it is not what ``proof`` says, or holds what no template may.
    """
    TemplateName.parse(name)
    with during(f"importing {tarball.source}"):
        proven = _proven(tarball, proof)
        files = TemplateFiles.of(folder, name)
        with TemporaryDirectory(prefix=".import-", dir=folder) as scratch:
            tree = Path(scratch) / "tree"
            tree.mkdir()
            tree.chmod(0o755)
            _unpack(tarball, tree, progress)
            _check_is_a_system(tree, tarball)
            epoch = _newest(tree)
            os.utime(tree, (epoch, epoch))  # the tarball may say nothing of its top folder
            progress.phase(f"packing {name}")
            with files.archive.open("wb") as out:
                packed = archive.pack(tree, out, epoch)
        manifest = _manifest(name, packed, epoch, {"source": tarball.source, **proven})
        files.manifest.write_bytes(manifest.to_json())
    return manifest, files


def _proven(tarball: Tarball, proof: Proof) -> dict[str, str]:
    """Check what the admin asked for; return it in words for the manifest."""
    proven = {"sha256": _checksum(tarball.path, "sha256"), "proof": proof.kind}
    found = _checksum(tarball.path, proof.algorithm) if proof.algorithm else ""
    if found != proof.checksum.lower():
        raise VerificationError(
            f"{tarball.source} has the {proof.algorithm} {found}, not the one that was given",
            hint="it was altered, cut short, or is another version; ask its publisher",
        )
    if proof.signature:
        proven["signer"] = verify_file(tarball.path, proof.signature, proof.keys, tarball.source)
    return proven


def _checksum(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _unpack(tarball: Tarball, tree: Path, progress: Progress) -> None:
    size = tarball.path.stat().st_size
    limit = min(MAX_UNPACKED_BYTES, max(_SMALL_BYTES, size * _MAX_RATIO))
    progress.phase(f"unpacking {tarball.path.name}")
    with ExitStack() as opened, _foreign(tarball):
        file = opened.enter_context(tarball.path.open("rb"))
        tar = _limited(_decompressed(file, tarball.source), limit, tarball.source)
        archive.extract(tar, tree, limit)


def _decompressed(file: IO[bytes], source: str) -> Iterator[bytes]:
    """Yield the tar in a file, whatever it is packed with; its first bytes say that."""
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        return archive.decompressed(file, source)
    if magic.startswith(b"\xfd7zXZ\0"):
        return _unxz(file)
    reader: Readable = file
    if magic.startswith(b"\x1f\x8b"):
        reader = cast("Readable", gzip.GzipFile(fileobj=file))
    elif magic.startswith(b"BZh"):
        reader = bz2.BZ2File(file)
    return iter(lambda: reader.read(_CHUNK), b"")


def _unxz(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what is in an xz file of one or more streams; ``lzma.open`` knows no memory limit."""
    data = file.read(_CHUNK)
    while data:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
        while not decompressor.eof:
            yield decompressor.decompress(data, _CHUNK)
            data = file.read(_CHUNK) if decompressor.needs_input else b""
            if decompressor.needs_input and not data and not decompressor.eof:
                raise EOFError("it ends too early")
        data = decompressor.unused_data.lstrip(b"\0") or file.read(_CHUNK)


@contextmanager
def _foreign(tarball: Tarball) -> Iterator[None]:
    """Say that a tarball is bad in one way, whoever finds out."""
    try:
        yield
    except (OSError, EOFError, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise VerificationError(f"{tarball.source} is damaged: {error}") from error
    except CommandError as error:
        problem = VerificationError(f"{tarball.source} is not a tarball that can be unpacked")
        for line in error.tail.splitlines():
            problem.add_note(line)
        raise problem from error


def _limited(tar: Iterable[bytes], limit: int, source: str) -> Iterator[bytes]:
    left = limit
    for chunk in tar:
        left -= len(chunk)
        if left < 0:
            raise VerificationError(
                f"{source} unpacks to more than {limit} bytes",
                hint="a root file system is never packed that well: it is made to fill the disk",
            )
        yield chunk


def _check_is_a_system(tree: Path, tarball: Tarball) -> None:
    if not (tree / "etc").is_dir() or not any((tree / name).exists() for name in ("usr", "bin")):
        there = ", ".join(sorted(path.name for path in tree.iterdir())[:10]) or "nothing"
        raise VztmplError(
            f"{tarball.source} is not a root file system: it holds {there}",
            hint="etc and usr have to stand at its top",
        )


def _newest(tree: Path) -> int:
    """Return the newest time in a tree: packed with it the tar depends on nothing else."""
    times = [0]
    for where, folders, files in os.walk(tree):
        times += [int(os.lstat(f"{where}/{name}").st_mtime) for name in (*folders, *files)]
    return max(times)


def _manifest(name: str, packed: Packed, epoch: int, origin: dict[str, str]) -> Manifest:
    return Manifest(
        name=name,
        serial=f"{datetime.now(UTC):%Y%m%dT%H%MZ}",
        digest=packed.digest,
        sha256=packed.sha256,
        size_bytes=packed.size_bytes,
        unpacked_bytes=packed.unpacked_bytes,
        epoch=epoch,
        description=f"imported from {origin['source']}",
        origin=origin,
    )
