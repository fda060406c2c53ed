import pytest

from vztmpl.errors import VEError
from vztmpl.ve.units import UNLIMITED, Unit, pair, short, write_pair


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("65536", (65536, 65536)),
        ("0:256M", (0, 65536)),
        ("2.2G", (576717, 576717)),
        ("1:unlimited", (1, UNLIMITED)),
        ("5P:6p", (5, 6)),
        ("1B", (1, 1)),
        ("99999999999T", (UNLIMITED, UNLIMITED)),
    ],
)
def test_pages_are_read_as_openvz_reads_them(text: str, found: tuple[int, int]) -> None:
    assert pair(text, Unit.PAGES) == found
    assert pair(write_pair(found), Unit.PAGES) == found


def test_bytes_have_the_same_suffixes() -> None:
    assert pair("14372700:2.5M", Unit.BYTES) == (14372700, 2621440)
    assert pair("2P", Unit.BYTES) == (8192, 8192)


@pytest.mark.parametrize("unit", [Unit.PAGES, Unit.BYTES])
@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3", "M", "nanM", "infG", "1 M", ":5", "²"])
def test_what_is_no_amount_is_refused(text: str, unit: Unit) -> None:
    with pytest.raises(VEError, match="is not a number"):
        pair(text, unit)


def test_counts_take_no_suffix() -> None:
    assert pair("240:300", Unit.NUMBER) == (240, 300)
    with pytest.raises(VEError, match="whole number"):
        pair("1K", Unit.NUMBER)


def test_people_read_short_amounts() -> None:
    assert [short(65536, Unit.PAGES), short(1536, Unit.BYTES)] == ["256M", "1.5K"]
    assert [short(240, Unit.NUMBER), short(UNLIMITED, Unit.PAGES)] == ["240", "-"]
