"""A template's tar in other compressions, all made in one pass, for those who read no zstandard.

The same tar gives the same bytes for any number of cores, but not for another version of a
compressor; so a form is made once for each build and stays. The levels are where more time stops
paying: of Debian 12's 206 MB, xz -6 makes 48 MB in 68 s of CPU time, xz -1 58 MB in 17 s.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO

from vztmpl.files import replacing
from vztmpl.progress import Progress
from vztmpl.run import piped
from vztmpl.template.archive import read
from vztmpl.template.manifest import Manifest

_AHEAD_CHUNKS = 24  # of 1 MB: what a slow compressor may lag behind a fast one


class Form(StrEnum):
    """How the tar is wrapped; its file name."""

    GZIP = "rootfs.tar.gz"
    SQUASHFS = "rootfs.squashfs"
    XZ = "rootfs.tar.xz"


def make(
    archive: Path, manifest: Manifest, folder: Path, forms: Sequence[Form], progress: Progress
) -> None:
    """Make some forms of an archive in a folder.

    VerificationError, and nothing is there, when the tar is not the one of the manifest.
    """
    progress.phase(f"{manifest.name}: making {', '.join(forms)}", manifest.unpacked_bytes)
    with ExitStack() as making:
        feeds = []
        for form in forms:
            file = making.enter_context(replacing(folder / form))
            feeds.append(making.enter_context(_feeding(_command(form, Path(file.name)), file)))
        for chunk in read(archive, manifest.digest, manifest.unpacked_bytes):
            for feed in feeds:
                feed(chunk)
            progress.advance(len(chunk))


def _command(form: Form, target: Path) -> list[str | Path]:
    threads = max(2, os.cpu_count() or 2)  # one thread would make another file than many
    match form:
        case Form.XZ:
            return ["xz", "--compress", "--stdout", "-1", f"--threads={threads}"]
        case Form.GZIP:
            return ["gzip", "--stdout", "--no-name", "-6"]
        case Form.SQUASHFS:  # not sqfstar: it makes up the root's time and mode
            zstd = ["--compressor=zstd", "--comp-extra=level=9", "--block-size=1M"]
            return ["tar2sqfs", *zstd, "--no-skip", "--quiet", "--force", target]


@contextmanager
def _feeding(argv: Sequence[str | Path], output: IO[bytes]) -> Iterator[Callable[[bytes], None]]:
    """Yield what feeds a program by a thread of its own, so that no one waits for the slowest."""
    waiting: Queue[bytes] = Queue(_AHEAD_CHUNKS)
    broken: list[BaseException] = []

    def pump() -> None:
        while chunk := waiting.get():
            try:
                if not broken:
                    pipe.write(chunk)
            except OSError as error:  # the program ended; go on taking, or the feeder would hang
                broken.append(error)

    with piped(argv, feed=True, output=output) as pipe:
        thread = Thread(target=pump)
        thread.start()
        try:
            yield waiting.put
        except BaseException as error:
            broken.append(error)  # what waits is of no use any more
            raise
        finally:
            waiting.put(b"")
            thread.join()
        if broken:
            raise broken[0]
