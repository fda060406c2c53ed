import json
from datetime import UTC, datetime, timedelta

import pytest

from vztmpl.errors import VerificationError
from vztmpl.template.entry import Entry, File
from vztmpl.template.index import EMPTY, VALID, Index

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
