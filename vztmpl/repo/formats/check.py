"""Whether what others read of a repository is what they would get from its index today.

Nothing that was noted is believed: every file is read, tars are unwrapped, and all indexes are made
again in memory from what was read.
"""

import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path

from vztmpl.errors import VerificationError
from vztmpl.progress import Progress
from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.config import Publishing
from vztmpl.repo.formats.derive import makers_for, prepare_all
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.known import Known, measure
from vztmpl.repo.formats.outputs import File, Link, Made, Output, Signed
from vztmpl.repo.formats.prepare import builds, wanted
from vztmpl.template.index import Index
from vztmpl.template.signature import verify_clear, verify_detached


def problems(
    repository: Path, index: Index, public_keys: bytes, progress: Progress
) -> Iterator[str]:
    """Say what is wrong, a line for each."""
    publishing = Publishing.load(repository)
    makers = makers_for(publishing)
    complete = []
    try:
        for build in builds(repository, index) if makers else ():
            progress.phase(f"reading what others read of {build.name} {build.serial}")
            known = Known.measured(repository, build)
            lacking = [path for path in wanted(build, makers) if path not in known.facts]
            yield from (f"{repository / path} is missing" for path in lacking)
            yield from _unwrapped(known, build)
            if not lacking:
                complete.append(known)
        _, outputs = prepare_all(complete, publishing, progress)
    except VerificationError as error:
        yield str(error)  # a template itself is not what the index says
        return
    for output in outputs:
        yield from _problems(repository, output, public_keys)


def _unwrapped(known: Known, build: Build) -> Iterator[str]:
    for path in map(build.image, (Form.GZIP, Form.XZ)):
        if path in known.facts and _unwrap(known.repository / path) != build.manifest.digest:
            yield f"{known.repository / path} is not the tar that the manifest names"


def _unwrap(path: Path) -> str:
    """Return the sha256 of a compressed tar, or nothing when it is damaged."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else lzma.open(path) as tar:
            return hashlib.file_digest(tar, "sha256").hexdigest()
    except (OSError, EOFError, lzma.LZMAError, zlib.error):
        return ""


def _problems(repository: Path, output: Output, public_keys: bytes) -> Iterator[str]:
    try:
        if not _is_right(repository, output, public_keys):
            yield f"{repository / output.path} is not what the index leads to"
        if isinstance(output, File | Link) and output.signature:
            signed, signature = repository / output.path, repository / output.signature
            verify_detached(signed.read_bytes(), signature.read_bytes(), public_keys, signature)
    except FileNotFoundError as error:
        yield f"{error.filename} is missing"
    except VerificationError as error:
        yield str(error)


def _is_right(repository: Path, output: Output, public_keys: bytes) -> bool:
    path = repository / output.path
    match output:
        case File():
            return path.read_bytes() == output.content
        case Signed():
            return verify_clear(path.read_bytes(), public_keys, path)[0] == output.content
        case Link():
            same = path.samefile(repository / output.to)
            return same or measure(path).sha256 == output.sha256
        case Made():
            return True
