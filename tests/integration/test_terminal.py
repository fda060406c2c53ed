"""A person's terminal: the console and `enter`, with keys, sizes and interrupts."""

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host

pytestmark = pytest.mark.root


class Terminal:
    """Our end of a pseudo terminal that a command runs on."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self.descriptor, self.process = descriptor, process

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.descriptor, (rows, columns))

    def wait_for(self, pattern: str) -> "re.Match[str]":
        seen, until = "", time.monotonic() + 10
        while not (match := re.search(pattern, seen)):
            assert time.monotonic() < until, seen
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    seen += os.read(self.descriptor, 4096).decode(errors="replace")
                except OSError:  # EIO: the command is gone
                    assert re.search(pattern, seen), seen
        return match


@contextmanager
def terminal(host: Host, *words: object) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    env = {**host.whole_env, "TERM": "vt100"}
    command = [*host.prefix, *map(str, words)]
    own = ["setsid", "--ctty", "--", *command]  # signals come from keys and sizes only so
    with subprocess.Popen(own, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            yield Terminal(ours, process)
            assert process.wait(10) == 0
        finally:
            process.kill()
            os.close(ours)


@pytest.fixture
def ve(tiny: Host) -> Host:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    tiny.vzctl("start", 101)
    return tiny


def test_the_console_is_joined_typed_into_and_left(ve: Host) -> None:
    with terminal(ve, "vzctl", "console", 101) as console:
        console.wait_for("Attached to CT 101")
        console.type("echo $((6 * 7)) on $(tty)\n")
        console.wait_for("42 on /dev/")
        console.resize(33, 99)
        console.type("stty size\n")
        console.wait_for("33 99")
        console.type("\x1b.")
        console.wait_for("Detached from CT 101")
    with terminal(ve, "vzctl", "console", 101) as again:
        again.type("echo still $((1 + 1))\n")
        again.wait_for("still 2")
        again.type("\x1b.")


def test_the_console_ends_with_the_ve(ve: Host) -> None:
    with terminal(ve, "vzctl", "console", 101) as console:
        console.wait_for("Attached")
        ve.vzctl("stop", 101, "--fast")
        console.wait_for("Detached")
    assert ve.run("vzctl", "console", 101).returncode == 31


def test_enter_gives_a_terminal_of_the_ves_own(ve: Host) -> None:
    with terminal(ve, "vzctl", "enter", 101) as shell:
        shell.wait_for("entered into CT 101")
        shell.type("tty; echo $TERM\n")
        shell.wait_for(r"/dev/pts/\d+\s+vt100")
        shell.resize(41, 77)
        time.sleep(0.2)
        shell.type("stty size\n")
        shell.wait_for("41 77")
        shell.type("sleep 600\n")
        time.sleep(0.2)
        shell.type("\x03")
        shell.type("echo interrupted: $?\n")
        shell.wait_for("interrupted: 130")
        shell.type("exit\n")
        shell.wait_for("exited from CT 101")


def test_a_program_that_reads_nothing_holds_nothing_up(ve: Host) -> None:
    with terminal(ve, "vzctl", "exec2", 101, "stty raw -echo; sleep 2; echo its end") as program:
        time.sleep(0.5)
        for _ in range(20):
            program.type("x" * 1000)
        program.wait_for("its end")
