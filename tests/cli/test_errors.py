import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from vztmpl.cli.errors import guarded
from vztmpl.errors import (
    CommandError,
    ConfigError,
    LockedError,
    NetworkError,
    NotFoundError,
    UsageError,
    VerificationError,
    VztmplError,
    during,
)


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def call() -> NoReturn:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VztmplError("x"), 1),
        (ConfigError("file", "key", "problem"), 1),
        (CommandError(["tar"], 2, ""), 1),
        (UsageError("x"), 2),
        (NotFoundError("x"), 3),
        (LockedError("x"), 4),
        (NetworkError("x"), 5),
        (VerificationError("x"), 6),
        (OSError(errno.EIO, "Input/output error"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert guarded(raising(error)) == code


def test_codes_may_be_translated() -> None:
    assert guarded(raising(NotFoundError("x")), lambda error: error.exit_code + 40) == 43


def test_the_status_of_the_call_is_the_exit_code() -> None:
    assert guarded(lambda: None) == 0
    assert guarded(lambda: 7) == 7


def test_an_error_says_what_where_why_and_how_to_cure_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call() -> None:
        with during("building x"), during("packing"):
            raise CommandError(["tar", "a b"], 2, "one\ntwo\n", hint="make room")

    guarded(call)
    assert capsys.readouterr() == (
        "",
        "error: tar 'a b' failed with status 2\n"
        "  while packing\n"
        "  while building x\n"
        "  | one\n"
        "  | two\n"
        "hint: make room\n",
    )


def test_what_servers_say_can_not_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    guarded(raising(NetworkError("evil \033[2J\r\nwords")))
    assert capsys.readouterr().err == "error: evil  [2J  words\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left", "/vz/x"), "error: the disk is full: /vz/x\nhint: "),
        (OSError(errno.ENOSPC, "No space left"), "error: the disk is full\nhint: "),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), "error: /x: No such file\n"),
        (OSError(errno.EIO, "Input/output error"), "error: Input/output error\n"),
        (
            PermissionError(errno.EPERM, "Operation not permitted", b"/x"),
            "error: /x: Operation not",
        ),
        (OSError("only words"), "error: only words\n"),
    ],
)
def test_errors_of_the_system_are_put_in_words(
    capsys: pytest.CaptureFixture[str], error: OSError, said: str
) -> None:
    assert guarded(raising(error)) == 1
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.root
def test_a_user_who_is_not_root_is_told_so() -> None:
    code = (
        "import os; from vztmpl.cli.errors import guarded\n"
        "os.setuid(65534)  # after the import: the checkout may be closed to others\n"
        "raise SystemExit(guarded(lambda: open('/etc/shadow') and None))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: /etc/shadow: Permission denied\nhint: run it as root\n"


def test_a_bug_shows_a_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(raising(ZeroDivisionError()))


@pytest.mark.parametrize("lines", [1, 1000])
def test_a_reader_that_goes_away_is_no_news(lines: int) -> None:
    code = (
        "from vztmpl.cli.errors import guarded\n"
        f"raise SystemExit(guarded(lambda: [print('x' * 1000) for _ in range({lines})] and None))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_what_could_not_be_written_is_an_error() -> None:
    code = (
        "from vztmpl.cli.errors import guarded\nraise SystemExit(guarded(lambda: print('short')))"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full\n")


def test_a_terminated_command_cleans_up() -> None:
    done = []

    def call() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            done.append("cleaned")

    with pytest.raises(SystemExit) as caught:
        guarded(call)
    assert caught.value.code == 143
    assert done == ["cleaned"]
