import json
from datetime import UTC, datetime, timedelta

import pytest

from vztmpl.errors import VerificationError
from vztmpl.template.entry import Changes, Entry, File
from vztmpl.template.index import EMPTY, VALID, Index
from vztmpl.template.manifest import Manifest

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def entry(serial: str, name: str = "debian-13-x86_64", digest: str = "a" * 64) -> Entry:
    return Entry(
        name=name,
        serial=serial,
        digest=digest,
        arch="x86_64",
        path=f"templates/{name}/{serial}",
        size_bytes=10,
        unpacked_bytes=100,
        files={
            f"{name}{end}": File(size_bytes=10, sha256="b" * 64)
            for end in (".tar.zst", ".json", ".json.asc")
        },
    )


INDEX = EMPTY.next([entry("20260202T0000Z"), entry("20260101T0000Z")], NOW)


def with_value(key: str, value: object) -> bytes:
    return json.dumps({**json.loads(INDEX.to_json()), key: value}).encode()


def with_path(path: str) -> bytes:
    value = json.loads(INDEX.to_json())
    value["templates"][0]["path"] = path
    return json.dumps(value).encode()


def test_an_index_survives_writing_and_reading() -> None:
    assert Index.parse(INDEX.to_json(), "x") == INDEX


def test_the_newest_build_is_found() -> None:
    found = INDEX.newest("debian-13-x86_64")
    assert found is not None
    assert found.serial == "20260202T0000Z"
    assert INDEX.newest("debian-12-x86_64") is None


def test_the_next_index_has_the_next_serial_and_a_new_date() -> None:
    later = INDEX.next([entry("20260303T0000Z")], NOW + VALID)
    assert later.serial == INDEX.serial + 1
    assert later.expires == NOW + 2 * VALID
    assert [one.serial for one in later.entries] == ["20260303T0000Z"]


def test_an_index_older_than_one_seen_is_refused() -> None:
    INDEX.check_fresh(INDEX.serial, NOW, "x")
    with pytest.raises(VerificationError, match="older"):
        INDEX.check_fresh(INDEX.serial + 1, NOW, "x")


def test_an_index_past_its_date_is_refused() -> None:
    INDEX.check_fresh(0, NOW + VALID, "x")
    with pytest.raises(VerificationError, match="expired on 2026-12-24"):
        INDEX.check_fresh(0, NOW + VALID + timedelta(seconds=1), "x")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b"[" * 100_000,
        with_value("format", 9), with_value("serial", "1"), with_value("expires", "tomorrow"),
        with_value("expires", "2026-12-24T00:00:00"),  # no time zone: not to be compared with ours
        with_value("templates", [{}]), with_value("templates", {}),
        with_path("/etc"), with_path("../up"), with_path("a/../../b"), with_path("a//b"),
        with_path("http://other/x"), with_path(""), with_path("a/./b"),
        with_path("a\0b"), with_path("\ud800"),
    ],
)  # fmt: skip
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(VerificationError):
        Index.parse(data, "x")


def manifest(serial: str, packages: dict[str, str]) -> Manifest:
    return Manifest(
        name="debian-13-x86_64",
        serial=serial,
        digest="a" * 64,
        sha256="b" * 64,
        size_bytes=1,
        unpacked_bytes=1,
        epoch=0,
        packages=packages,
    )


def test_what_changed_is_said_against_the_build_before() -> None:
    old = manifest("20260101T0000Z", {"apt": "2.6.1", "bash": "5.2", "nano": "7"})
    new = manifest("20260202T0000Z", {"apt": "2.6.2", "bash": "5.2", "vim": "9"})
    assert Changes.between(old, new) == Changes(
        since="20260101T0000Z",
        added={"vim": "9"},
        removed={"nano": "7"},
        changed={"apt": "2.6.1 -> 2.6.2"},
    )
    assert Changes.between(None, new) == Changes()


def test_an_index_from_the_future_is_refused() -> None:
    INDEX.check_fresh(0, NOW - timedelta(hours=23), "x")
    with pytest.raises(VerificationError, match="is of 2026-11-24, and here it is 2026-11-22"):
        INDEX.check_fresh(0, NOW - timedelta(days=2), "x")


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "/x"])
def test_a_file_is_named_plainly(name: str) -> None:
    value = json.loads(INDEX.to_json())
    value["templates"][0]["files"][name] = {"size_bytes": 1, "sha256": "c" * 64}
    with pytest.raises(VerificationError, match="is not the name of a file"):
        Index.parse(json.dumps(value).encode(), "x")


def test_an_entry_names_its_own_files() -> None:
    value = json.loads(INDEX.to_json())
    del value["templates"][0]["files"]["debian-13-x86_64.json"]
    with pytest.raises(VerificationError, match=r"does not name debian-13-x86_64\.json"):
        Index.parse(json.dumps(value).encode(), "x")
