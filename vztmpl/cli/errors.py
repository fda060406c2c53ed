"""Where errors become text on stderr and an exit code: the one place in the program.

``vztmpl``, ``vzctl`` and ``vzlist`` run their whole work through ``guarded``. It imports nothing
that costs time, so verbs that must be fast can use it.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from vztmpl.errors import CommandError, VztmplError

INTERRUPTED = 130
_FAILED = 1
_TITLE = "error:"
_NEEDS_ROOT = (errno.EACCES, errno.EPERM, errno.EROFS)


def own_code(error: VztmplError) -> int:
    """Return the exit code that ``vztmpl`` gives for an error."""
    return error.exit_code


def guarded(call: Callable[[], int | None], codes: Callable[[VztmplError], int] = own_code) -> int:
    """Run ``call`` and return the exit code: its own, ``codes`` of its error, or 130 after ^C.

    SIGTERM undoes what is under way as ^C does, then ends the process with status 143. An error
    that is nobody's fault but ours passes through and shows a traceback.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        status = call() or 0
        sys.stdout.flush()
    except VztmplError as error:
        show(error)
        return codes(error)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # a reader that goes away is no news
            show(_explained(error))
        _finish_stdout()
        return _FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return status


def show(error: VztmplError) -> None:
    """Write an error to stderr: what failed, what was going on, a program's last words, a cure."""
    lines = [f"{_TITLE} {error}"]
    lines += [f"  {note}" for note in getattr(error, "__notes__", ())]
    if isinstance(error, CommandError):
        lines += [f"  | {line}" for line in error.tail.splitlines()]
    if error.hint:
        lines += [f"hint: {error.hint}"]
    text = "".join(f"{_printable(line)}\n" for line in lines)
    if sys.stderr.isatty():
        text = text.replace(_TITLE, f"\033[31m{_TITLE}\033[0m", 1)
    sys.stderr.write(text)


def _printable(line: str) -> str:
    """Replace what could command the terminal: servers and programs choose some of the words."""
    return "".join(letter if letter.isprintable() else " " for letter in line)


def _explained(error: OSError) -> VztmplError:
    """Put an error of the operating system's in words with a cure."""
    reason = error.strerror or str(error)
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    text = f"{where}: {reason}" if where else reason
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "make room, or move the folder: vz.conf says where each one is"
        shown = VztmplError(
            f"the disk is full: {where}" if where else "the disk is full", hint=hint
        )
    elif error.errno in _NEEDS_ROOT:
        shown = VztmplError(text, hint="run it as root" if os.geteuid() else "")
    else:
        shown = VztmplError(text)
    for note in getattr(error, "__notes__", ()):
        shown.add_note(note)
    return shown


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _finish_stdout() -> None:
    """Write what is left, or forget it: Python would try again, and complain, when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
