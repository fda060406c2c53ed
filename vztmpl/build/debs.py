"""Debian packages: a cache of them by sha256, and the small archive that a bootstrapper is given.

In that archive (ar(5), deb(5)) every package stands uncompressed where it was xz: dpkg unpacks the
essential ones twice, one after the other; here all are decompressed once, side by side. It holds
nothing but what was selected, so nothing else can be installed; all of it has been verified.
"""

import hashlib
import io
import lzma
import os
import re
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import IO

from vztmpl.build.apt import explained
from vztmpl.build.package import Package
from vztmpl.errors import CommandError, NotFoundError
from vztmpl.files import remove_tree, sync_folder
from vztmpl.progress import Progress
from vztmpl.run import run

_HELPER = "/usr/lib/apt/apt-helper"
_HEADER_BYTES = 60
_ABANDONED_SECONDS = 86400
_UNUSED_SECONDS = 30 * 86400
_MAGIC = b"!<arch>\n"
_CHUNK = 1 << 16


def fetch(packages: Sequence[Package], kept: Path, progress: Progress) -> None:
    """Have every package in the folder ``kept``, whole, as ``SHA256.deb``.

    NotFoundError names the one that is no longer on its mirror.
    """
    kept.mkdir(parents=True, exist_ok=True)
    wanted = [package for package in packages if not _is_whole(_kept(kept, package), package)]
    if not wanted:
        return
    progress.phase(f"fetching {len(wanted)} packages", len(wanted), "packages")
    with TemporaryDirectory(dir=kept, prefix=".fetch.") as folder:
        _download(wanted, Path(folder), progress)
        for package in wanted:
            _kept(Path(folder), package).replace(_kept(kept, package))
    sync_folder(kept)
    _tidy(kept)


def small_archive(packages: Sequence[Package], kept: Path, folder: Path) -> None:
    """Make an archive of exactly these packages in a new folder."""
    folder.mkdir(parents=True)
    with ThreadPoolExecutor() as workers:
        stanzas = workers.map(lambda package: _add(_kept(kept, package), folder), packages)
        (folder / "Packages").write_text("\n".join(stanzas))


def counting(progress: Progress, beginning: str) -> Callable[[str], None]:
    """Return what shows a program's lines, and counts those that begin so as one unit done."""

    def on_line(line: str) -> None:
        progress.note(line)
        if line.startswith(beginning):
            progress.advance(1)

    return on_line


def _kept(folder: Path, package: Package) -> Path:
    return folder / f"{package.sha256}.deb"


def _is_whole(path: Path, package: Package) -> bool:
    try:
        os.utime(path)  # when it was used last
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256
    except FileNotFoundError:
        return False


def _tidy(kept: Path) -> None:
    """Remove packages that no build has used for long, and what killed downloads left."""
    for path in kept.iterdir():
        with suppress(FileNotFoundError):  # another build tidies too
            age_seconds = time() - path.stat().st_mtime
            if path.is_dir() and age_seconds > _ABANDONED_SECONDS:
                remove_tree(path)
            elif path.suffix == ".deb" and age_seconds > _UNUSED_SECONDS:
                path.unlink()


def _download(packages: Sequence[Package], folder: Path, progress: Progress) -> None:
    """Let apt's own downloader fetch them: it knows the host's proxies and checks the sha256."""
    argv = [_HELPER, "--option=APT::Sandbox::User=root", "download-file"]
    for package in packages:
        argv += [package.url, str(_kept(folder, package)), f"SHA256:{package.sha256}"]
    try:
        run(argv, on_line=counting(progress, "Get:"))
    except CommandError as error:
        failed = re.findall(r"^(?:Err:\d+|E: Failed to fetch) +(\S+)", error.tail, re.MULTILINE)
        gone = failed if re.search("404 +Not Found|File not found", error.tail) else ()
        for package in packages:
            if package.url in gone:
                raise NotFoundError(
                    f"{package.name} {package.version} is gone from the mirror: {package.url}",
                    hint="an archive keeps old versions for a while only; build without --locked",
                ) from error
        raise explained(error) from error


def _add(source: Path, folder: Path) -> str:
    """Write a package into the archive, uncompressed; return its entry in the index."""
    control = b""
    with source.open("rb") as deb, (folder / source.name).open("w+b") as plain:
        plain.write(deb.read(len(_MAGIC)))
        while header := deb.read(_HEADER_BYTES):
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            start = plain.tell()
            if name.endswith(".xz"):
                name = name.removesuffix(".xz")
                plain.write(bytes(_HEADER_BYTES))
                _decompress(deb, size, plain)
            else:
                plain.write(header + deb.read(size))
            end = plain.tell()
            plain.seek(start)
            size_now = end - start - _HEADER_BYTES
            plain.write(b"%-16s%s%-10d`\n" % (name.encode(), header[16:48], size_now))
            if name == "control.tar":
                control = _control(plain.read(size_now))
            plain.seek(end)
            plain.write(b"\n" * (size_now % 2))
            deb.seek(size % 2, os.SEEK_CUR)
        size_now = plain.tell()
        plain.seek(0)
        digest = hashlib.file_digest(plain, "sha256").hexdigest()
    entry = control.decode() or run(["dpkg-deb", "--field", source])
    return f"{entry.strip()}\nFilename: ./{source.name}\nSize: {size_now}\nSHA256: {digest}\n"


def _decompress(deb: IO[bytes], size: int, plain: IO[bytes]) -> None:
    """Copy ``size`` bytes, decompressed; in pieces, for some packages are large."""
    decompressor = lzma.LZMADecompressor()
    while size:
        data = deb.read(min(size, _CHUNK))
        size -= len(data)
        plain.write(decompressor.decompress(data))


def _control(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("./control")
        return member.read() if member else b""
