import pytest

from vztmpl.errors import VEError
from vztmpl.ve.units import UNLIMITED, pair_of_numbers, pair_of_pages, write_pair


@pytest.mark.parametrize(
    ("text", "pair"),
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
def test_pages_are_read_as_openvz_reads_them(text: str, pair: tuple[int, int]) -> None:
    assert pair_of_pages(text) == pair
    assert pair_of_pages(write_pair(pair)) == pair


@pytest.mark.parametrize("text", ["", "x", "-1", "1:2:3", "M", "nanM", "infG", "1 M", ":5", "²"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(VEError, match="is not a number"):
        pair_of_pages(text)


def test_counts_take_no_suffix() -> None:
    assert pair_of_numbers("240:300") == (240, 300)
    with pytest.raises(VEError, match="whole number"):
        pair_of_numbers("1K")
