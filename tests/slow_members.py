"""A template with a million members: minutes, so not in CI; `pytest tests/slow_members.py`."""

import resource
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from vztmpl.template import archive

MEMBERS = 1_000_000
TARGET_MB = 200


def members() -> Iterator[bytes]:
    for number in range(MEMBERS):
        member = tarfile.TarInfo(f"./{number % 1000}/{number}")
        if number < 1000:
            member = tarfile.TarInfo(f"./{number}")
            member.type, member.mode = tarfile.DIRTYPE, 0o755
        yield member.tobuf(tarfile.GNU_FORMAT)
    yield bytes(10240)


@pytest.mark.root
def test_a_million_members_are_unpacked_in_little_memory(tmp_path: Path) -> None:
    digest, size = sha256(), 0
    with (tmp_path / "t.zst").open("wb") as packed:
        for chunk in archive.recompressed(members(), packed):
            digest.update(chunk)
            size += len(chunk)
    (tmp_path / "tree").mkdir()
    archive.unpack(tmp_path / "t.zst", tmp_path / "tree", digest.hexdigest(), size)
    assert sum(1 for _ in (tmp_path / "tree/7").iterdir()) == MEMBERS // 1000 - 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < TARGET_MB * 1024
