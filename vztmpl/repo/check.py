"""Reading a whole repository as a node would, to find what its readers would trip over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vztmpl.errors import VztmplError
from vztmpl.progress import Progress
from vztmpl.repo import keys
from vztmpl.repo.builds import FOLDER
from vztmpl.repo.formats import check as formats
from vztmpl.repo.keys import Trust, follow
from vztmpl.repo.publish import read_index
from vztmpl.repo.verify import verify
from vztmpl.template import index as indexes
from vztmpl.template.archive import sha256_of
from vztmpl.template.entry import Entry
from vztmpl.template.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What reading a repository found."""

    index: Index
    problems: Sequence[str]
    left_over: Sequence[str]
    """Folders of builds that the index does not name."""


def check(repository: Path, public_keys: bytes, progress: Progress) -> Checked:
    """Check index, keys and every file; VerificationError when the index itself is not good."""
    trust = follow(Trust(keys=public_keys), lambda path: _read(repository / path))
    index = read_index(repository, trust.keys)
    index.check_fresh(0, datetime.now(UTC), repository / indexes.FILE)
    progress.phase("reading files", sum(_bytes(entry) for entry in index.entries))
    problems = [*_key_problems(repository, index)]
    for entry in index.entries:
        problems += _problems(repository, entry, trust.keys, progress)
    problems += formats.problems(repository, index, trust.keys, progress)
    named = {entry.path for entry in index.entries}
    there = {str(path.relative_to(repository)) for path in repository.glob(f"{FOLDER}/*/*")}
    return Checked(index=index, problems=problems, left_over=sorted(there - named))


def _key_problems(repository: Path, index: Index) -> Iterator[str]:
    there = {path.name for path in (repository / keys.FOLDER).glob("*")}
    for version in range(1, index.keys_version + 1):
        if Path(keys.file_name(version)).name not in there:
            yield f"{keys.file_name(version)} is missing: nodes can't follow to the keys of now"
    if not index.keys_version >= keys.newest(there):
        yield "the index is older than the newest list of keys: `vztmpl repo sign`"


def _problems(
    repository: Path, entry: Entry, public_keys: bytes, progress: Progress
) -> Iterator[str]:
    folder = repository / entry.path
    for name, file in entry.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{path} is missing"
        elif sha256_of(path) != (file.sha256, file.size_bytes):
            yield f"{path} is not what the index says"
        progress.advance(file.size_bytes)
    try:
        if (folder / entry.archive).is_file():
            verify(folder / entry.archive, public_keys)
    except VztmplError as error:
        yield str(error)


def _bytes(entry: Entry) -> int:
    return sum(file.size_bytes for file in entry.files.values())


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(keys.MAX_BYTES)
    except FileNotFoundError:
        return None
