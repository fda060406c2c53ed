from pathlib import Path

import pytest

from vztmpl import shellvars
from vztmpl.errors import ConfigError

TEXT = """\
# The name
HOSTNAME="old"
NAMESERVER='one'
EMPTY=""

ODD="say "hi" now"
HOSTNAME="web"
this is no assignment
export X="1"
"""


def test_the_last_of_two_assignments_counts() -> None:
    assert shellvars.parse(TEXT)["HOSTNAME"] == "web"


def test_a_value_runs_to_the_last_quote_of_its_line() -> None:
    assert shellvars.parse(TEXT)["ODD"] == 'say "hi" now'
    assert shellvars.parse('A="open\nB=bare\n') == {"A": "open", "B": "bare"}


def test_lines_that_are_not_assignments_are_passed_over() -> None:
    assert set(shellvars.parse(TEXT)) == {"HOSTNAME", "NAMESERVER", "EMPTY", "ODD"}


def test_a_change_keeps_every_other_line() -> None:
    changed = shellvars.updated(TEXT, {"EMPTY": "full", "NEW": "1"})
    assert changed == TEXT.replace('EMPTY=""', 'EMPTY="full"') + 'NEW="1"\n'


def test_a_changed_name_is_there_once() -> None:
    changed = shellvars.updated(TEXT, {"HOSTNAME": "db"})
    assert changed.count("HOSTNAME") == 1
    assert shellvars.parse(changed)["HOSTNAME"] == "db"


def test_a_removed_name_is_gone_wherever_it_was() -> None:
    assert "HOSTNAME" not in shellvars.updated(TEXT, {"HOSTNAME": None})
    assert shellvars.updated("A=1\n", {"B": None}) == "A=1\n"


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    path = tmp_path / "101.conf"
    path.write_bytes(b'DESCRIPTION="\xff\xfe"\n')
    text = shellvars.updated(shellvars.read_text(path), {"A": "1"})
    assert text.encode(errors="surrogateescape") == b'DESCRIPTION="\xff\xfe"\nA="1"\n'


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "101.conf"
    path.write_text("#" * (shellvars.MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=r"101\.conf: size"):
        shellvars.read(path)
