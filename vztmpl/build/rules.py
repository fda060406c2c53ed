"""What a rule of a good template is, and how its path patterns are meant."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is when a rule is broken."""

    ERROR = "error"
    """Harms whoever uses the template; a build stops."""
    WARNING = "warning"
    """Wastes room or time, or is worth a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that has to be true of every template."""

    name: str
    severity: Severity
    reason: str
    """Why it matters, as a sentence about the template."""
    cure: str
    """What a maintainer does about it."""
    paths: tuple[str, ...] = ()
    """What must not be there. ``*``, ``?`` and ``[…]`` stay within one name and match hidden files
    too; ``/**`` at the end means every file below a folder, but not its folders."""
    empty_is_fine: bool = False
    """Whether an empty file or a link may be there all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A recipe's word that a rule may be broken."""

    rule: str
    reason: str
    paths: tuple[str, ...] = ()
    """Where it may be, as in ``Rule.paths``; none means everywhere."""


def paths(text: str) -> tuple[str, ...]:
    """Take a block of patterns apart, one or more to a line."""
    return tuple(text.split())


def matcher(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return what matches those member paths (without the first slash) that a pattern means."""
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    words = re.split(r"(/\*\*$|\*|\?|\[!?[^]]+\])", pattern.removeprefix("/"))
    meaning = {"/**": "/.+", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        word.replace("[!", "[^", 1) if word.startswith("[") else meaning.get(word, re.escape(word))
        for word in words
    )
