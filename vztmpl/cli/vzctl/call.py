"""One call of vzctl, taken apart: flags, verb, CTID, options, arguments."""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from vztmpl.settings import Node


class Call(NamedTuple):
    """What a verb is run with."""

    node: Node
    ctid: int
    options: Sequence[tuple[str, str]]
    """In the order given, without the leading ``--``; the value is empty for a flag."""
    arguments: Sequence[str]
    quiet: bool

    def say(self, line: str) -> None:
        """Tell the user what is going on, unless --quiet."""
        if not self.quiet:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def warn(self, line: str) -> None:
        """Tell the user what is not as asked for, unless --quiet."""
        if not self.quiet:
            sys.stdout.flush()
            sys.stderr.write(f"WARNING: {line}\n")

    def has(self, option: str) -> bool:
        """Say whether an option was given."""
        return any(name == option for name, _ in self.options)

    def value(self, option: str, default: str = "") -> str:
        """Return the last value given for an option."""
        given = [value for name, value in self.options if name == option]
        return given[-1] if given else default

    def values(self, option: str) -> list[str]:
        """Return all values given for an option."""
        return [value for name, value in self.options if name == option]


class Verb(Protocol):
    """What a module of this package declares."""

    __doc__: str | None
    ARGUMENTS: str
    """What follows the CTID, for the help; ``…`` in it: everything after the CTID is kept whole."""
    OPTIONS: Mapping[str, str]
    """Option (with ``=`` at the end when it takes a value) to its help."""

    def run(self, call: Call) -> int | None:
        """Do it; return the exit code."""
