"""Every error vztmpl raises on purpose.

    VztmplError                 exit 1
    ├── UsageError              exit 2   the command line makes no sense
    ├── ConfigError             a recipe, a VE's conf file or a setting is wrong
    ├── CommandError            an external program failed
    ├── NotFoundError           exit 3   no such recipe, template, key or remote
    ├── LockedError             exit 4   another vztmpl holds it
    ├── NetworkError            exit 5   may be tried again
    ├── VerificationError       exit 6   never tried again, never ignored
    └── VEError                 a VE can't do that now; carries OpenVZ's own exit code

The codes are those of ``vztmpl``; ``vzctl`` translates them to OpenVZ's in ``cli/vzctl``.
Anything else that escapes is a bug in vztmpl and shows a traceback.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class VztmplError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(VztmplError):
    """The command line makes no sense."""

    exit_code = 2


class ConfigError(VztmplError):
    """A file the user wrote does not say something we understand."""

    def __init__(self, where: object, key: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{where}: {key}: {problem}", hint=hint)


class CommandError(VztmplError):
    """An external program could not be run or did not succeed.

    ``tail`` holds the last lines that it printed.
    """

    def __init__(self, argv: Sequence[str], status: int, tail: str, *, hint: str = "") -> None:
        from shlex import join

        super().__init__(f"{join(argv)} failed with status {status}", hint=hint)
        self.argv, self.status, self.tail = tuple(argv), status, tail


class NotFoundError(VztmplError):
    """There is no recipe, template, key or remote of that name."""

    exit_code = 3


class LockedError(VztmplError):
    """Another process holds the lock."""

    exit_code = 4


class NetworkError(VztmplError):
    """A download did not work; the same call may work later."""

    exit_code = 5


class VerificationError(VztmplError):
    """Something from outside is not what a trusted key says it is."""

    exit_code = 6


class VEError(VztmplError):
    """A VE can't do what was asked; ``vz_code`` is the exit code OpenVZ gives for it."""

    def __init__(self, message: str, *, vz_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.vz_code = vz_code


@contextmanager
def during(doing: str) -> Iterator[None]:
    """Say what was going on when an error passes through."""
    try:
        yield
    except VztmplError as error:
        error.add_note(f"while {doing}")
        raise
