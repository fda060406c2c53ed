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
    shown.phase("failing")
    raise SystemExit(3)
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


def test_a_terminal_gets_bars_and_notes() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen([sys.executable, "-c", _WORK], stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 3
    assert "bootstrapping … Get:1 [31mpackages" in text
    assert "\x1b[31m" not in text
    assert re.search(r"packing: +\d+%.*/2\.00M ", text)
    assert re.search(r"packing … done in \d\.\d s\r\n", text)
    assert re.search(r"failing … failed in \d\.\d s\r\n$", text)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # EIO: the other side is closed
