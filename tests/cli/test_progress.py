import os
import pty
import re
import subprocess
import sys
import termios
from typing import NoReturn

import pytest

from vztmpl.cli import progress

_WORK = """
from vztmpl.cli import progress
with progress.shown() as shown:
    shown.phase("bootstrapping")
    shown.note("Get:1 \\x1b[31mpackages\\n")
    shown.phase("packing", 2_000_000)
    for _ in range(20):
        shown.advance(100_000)
    shown.phase("fetching", 4, "packages")
    shown.advance(3)
    shown.phase("failing")
    raise SystemExit(3)
"""
_SIDE_BY_SIDE = """
from vztmpl.cli import progress
one, two = progress.track("one", 0), progress.track("two", 1)
one.phase("bootstrapping")
two.phase("packing", 2_000_000)
one.note("Setting up \\x1b[31mdash")
two.advance(1_500_000)
one.end("failed")
two.end("done")
"""


def test_a_log_gets_one_line_per_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown() as shown:
        shown.phase("bootstrapping")
        shown.note("Get:1 packages")
        shown.phase("packing", 100)
        shown.advance(50)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.sub(r"\d+\.\d", "0.0", err) == (
        "bootstrapping … done in 0.0 s\npacking … done in 0.0 s\n"
    )


def test_a_phase_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> NoReturn:
        with progress.shown() as shown:
            shown.phase("packing")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        work()
    assert re.fullmatch(r"packing … failed in \d\.\d s\n", capsys.readouterr().err)


def test_work_without_phases_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown():
        pass
    assert capsys.readouterr().err == ""


def test_several_works_have_whole_lines_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = progress.track("one", 0), progress.track("two", 1)
    one.phase("bootstrapping")
    two.phase("packing", 100)
    one.phase("cleaning")
    one.end("failed")
    two.end("done")
    assert re.sub(r"\d+\.\d", "0.0", capsys.readouterr().err) == (
        "one: bootstrapping … done in 0.0 s\none: cleaning … failed in 0.0 s\n"
        "two: packing … done in 0.0 s\n"
    )


def test_several_works_have_a_line_each_on_a_terminal() -> None:
    text, status = on_a_terminal(_SIDE_BY_SIDE)
    assert status == 0
    assert "one: bootstrapping … Setting up [31mdash" in text
    assert "\x1b[31m" not in text
    assert re.search(r"two: packing: +75%.*/2\.00M ", text)
    assert re.search(r"one: bootstrapping … failed in \d\.\d s\r?\n", text)
    assert re.search(r"two: packing … done in \d\.\d s\r?\n", text)


def on_a_terminal(work: str) -> tuple[str, int]:
    """Run Python with a terminal for its stderr; return what that shows, and the status."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", work], stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    return shown.decode(), process.returncode


def test_a_terminal_gets_bars_and_notes() -> None:
    text, status = on_a_terminal(_WORK)
    assert status == 3
    assert "bootstrapping … Get:1 [31mpackages" in text
    assert "\x1b[31m" not in text
    assert re.search(r"packing: +\d+%.*/2\.00M ", text)
    assert re.search(r"fetching: +\d+%.*/4 ", text)
    assert re.search(r"packing … done in \d\.\d s\r\n", text)
    assert re.search(r"failing … failed in \d\.\d s\r\n$", text)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # EIO: the other side is closed
