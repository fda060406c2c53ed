import os
import subprocess
from pathlib import Path

import pytest

from tests.build.debian import Archive
from tests.build.test_mmdebstrap import resolve
from tests.fakes import alters, names_in
from vztmpl.build import debs
from vztmpl.build.package import Package
from vztmpl.errors import NotFoundError, VerificationError
from vztmpl.progress import Silent


@pytest.fixture
def packages(mirror: Archive, tmp_path: Path) -> tuple[Package, ...]:
    assert mirror.stanzas
    return resolve(tmp_path).packages


def fetch(packages: tuple[Package, ...], folder: Path) -> None:
    debs.fetch(packages, folder, Silent())


def test_packages_are_fetched_once(
    packages: tuple[Package, ...], mirror: Archive, tmp_path: Path
) -> None:
    fetch(packages, tmp_path / "debs")
    assert names_in(tmp_path / "debs") == sorted(f"{one.sha256}.deb" for one in packages)
    mirror.server.asked.clear()
    fetch(packages, tmp_path / "debs")
    assert mirror.server.asked == []


def test_a_damaged_package_is_fetched_again(packages: tuple[Package, ...], tmp_path: Path) -> None:
    fetch(packages, tmp_path / "debs")
    path = tmp_path / "debs" / f"{packages[0].sha256}.deb"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    fetch(packages, tmp_path / "debs")
    assert path.read_bytes() == whole


def test_one_that_is_gone_is_named(
    packages: tuple[Package, ...], mirror: Archive, tmp_path: Path
) -> None:
    (mirror.folder / "one_1_amd64.deb").unlink()
    with pytest.raises(NotFoundError, match="one 1 is gone from the mirror"):
        fetch(packages, tmp_path / "debs")
    assert not [name for name in names_in(tmp_path / "debs") if not name.endswith(".deb")]


def test_one_that_was_altered_is_refused(
    packages: tuple[Package, ...], mirror: Archive, tmp_path: Path
) -> None:
    mirror.server.faults["one_1_amd64.deb"] = alters
    with pytest.raises(VerificationError, match="Hash Sum mismatch"):
        fetch(packages, tmp_path / "debs")


def test_the_small_archive_holds_them_uncompressed(
    packages: tuple[Package, ...], tmp_path: Path
) -> None:
    fetch(packages, tmp_path / "debs")
    debs.small_archive(packages, tmp_path / "debs", tmp_path / "small")
    for package in packages:
        before = tmp_path / "debs" / f"{package.sha256}.deb"
        after = tmp_path / "small" / before.name
        assert b"data.tar.xz" not in after.read_bytes()
        for option in ("--contents", "--field"):
            said = [
                subprocess.run(["dpkg-deb", option, deb], check=True, capture_output=True).stdout
                for deb in (before, after)
            ]
            assert said[0] == said[1]
    index = (tmp_path / "small/Packages").read_text()
    assert index.count("Package: ") == index.count("\nSHA256: ") == len(packages)


def test_packages_that_nobody_used_for_long_go(
    packages: tuple[Package, ...], tmp_path: Path
) -> None:
    old, left = tmp_path / "debs/0.deb", tmp_path / "debs/.fetch.01234567"
    left.mkdir(parents=True)
    old.touch()
    for path in (old, left):
        os.utime(path, (0, 0))
    fetch(packages, tmp_path / "debs")
    assert names_in(tmp_path / "debs") == sorted(f"{one.sha256}.deb" for one in packages)
