"""What may be given to ``vzctl set``, and what is written into the conf."""

import os

import pytest

from vztmpl.errors import VEError
from vztmpl.ve.beancounters import BY_NAME
from vztmpl.ve.parameters import LISTS, PARAMETERS

OPTIONS = {each.option: each for each in (*PARAMETERS, *LISTS)}
MAX = 2**63 - 1


@pytest.mark.parametrize(
    ("option", "text", "kept"),
    [
        ("ram", "256M", "0:65536"),
        ("ram", "1048577", "0:257"),  # bytes, rounded up to pages
        ("swap", "0", "0:0"),
        ("swap", "unlimited", f"0:{MAX}"),
        ("physpages", "256M", "65536:65536"),
        ("kmemsize", "14372700:14790164", "14372700:14790164"),
        ("kmemsize", "2.5M", "2621440:2621440"),
        ("privvmpages", "65536:69632", "65536:69632"),
        ("vmguarpages", "33792:unlimited", f"33792:{MAX}"),
        ("numtcpsock", "360", "360:360"),
        ("numtcpsock", "0", "0:0"),
        ("vm_overcommit", "1.5", "1.5"),
        ("cpuunits", "8", "8"),
        ("cpulimit", "150", "150"),
        ("cpulimit", "50%", str(50 * (os.cpu_count() or 1))),
        ("cpumask", "0-3,6", "0-3,6"),
        ("cpumask", "auto", "auto"),
        ("nodemask", "all", "all"),
        ("iolimit", "5", str(5 << 20)),
        ("iolimit", "512K", str(512 << 10)),
        ("iolimit", "100B", "100"),
        ("iopslimit", "0", "0"),
        ("ioprio", "7", "7"),
    ],
)
def test_what_is_typed_becomes_what_every_client_reads(option: str, text: str, kept: str) -> None:
    assert OPTIONS[option].parse(text) == kept


@pytest.mark.parametrize(
    ("option", "texts"),
    [
        *((name, ["", "-1", "x", "1:2:3", "2:1", "1e3", "1 "]) for name in BY_NAME),
        *((name, ["1K", "1M:2M"]) for name in BY_NAME if name.startswith("num")),
        ("numproc", ["0", "0:0"]),
        ("physpages", ["0"]),
        ("ram", ["0", "", "1:2", "lots", "-5M"]),
        ("swap", ["", "1:2", "none"]),
        ("vm_overcommit", ["", "-1", "nan", "inf", "1e5", "x"]),
        ("cpuunits", ["7", "500001", "", "1.5", "1000%"]),
        ("cpulimit", ["101%", "-1", "100001", "%", "1.5"]),
        ("cpus", ["-1", "x", "5000"]),
        ("cpumask", ["", "0-", "-3", "0,,1", "none", "0 1", "²"]),
        ("nodemask", ["auto", "x", ""]),
        ("ioprio", ["8", "-1", "", "high"]),
        ("iolimit", ["2G", "x", "", "-1", "5MB"]),
        ("iopslimit", ["2147483648", "-1", "1K"]),
    ],
)
def test_wrong_values_are_refused_with_their_name(option: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(VEError) as caught:
            OPTIONS[option].parse(text)
        assert caught.value.vz_code in (20, 21)


def test_every_beancounter_can_be_set_and_openvzs_letters_are_kept() -> None:
    assert set(BY_NAME) <= set(OPTIONS)
    letters = {each.letter: each.option for each in PARAMETERS if each.letter}
    assert "".join(sorted(letters)) == "befiklnptx"
    assert letters["p"] == "numproc"
