from pathlib import Path

import pytest

from vztmpl.build.lock import Lock
from vztmpl.build.package import Package, Resolved
from vztmpl.errors import ConfigError, NotFoundError

PACKAGES = [
    Package(name="a", version="1:2~b", arch="all", sha256="0" * 64, url="http://x.example/a.deb"),
    Package(name="b"),
    Package(name="ü", version='"'),
]
LOCK = Lock(
    name="tiny-1-x86_64",
    key="k",
    recipe="r",
    mirror="http://m.example",
    resolved=Resolved(
        layers=(tuple(PACKAGES[:1]), tuple(PACKAGES[1:])), epoch=5, sources=("deb x y",)
    ),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_bytes(LOCK.to_json())
    assert Lock.read(tmp_path / "x.lock") == LOCK


def test_a_package_takes_one_line() -> None:
    lines = LOCK.to_json().decode().splitlines()
    assert [line.count('"layer"') for line in lines].count(1) == len(PACKAGES)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"format": 1', '"format": 2', "format: is 2"),
        ('"epoch": 5', '"epoch": "5"', "epoch: must be a whole number"),
        ('"epoch": 5', '"epoche": 5', "epoch: is required"),
        ("0" * 64, "0" * 63, "sha256: is not a sha256 in hex"),
        ('"arch": "all"', '"ark": "all"', "ark: is not a known key"),
        ("{", "[{", "is not JSON"),
    ],
)
def test_what_is_no_lock_file_is_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = LOCK.to_json().decode()
    assert old in text
    (tmp_path / "x.lock").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=problem):
        Lock.read(tmp_path / "x.lock")


def test_a_list_is_none_either_and_a_missing_one_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text("[]")
    with pytest.raises(ConfigError, match="is not a JSON object"):
        Lock.read(tmp_path / "x.lock")
    with pytest.raises(NotFoundError, match="no such lock file"):
        Lock.read(tmp_path / "y.lock")
