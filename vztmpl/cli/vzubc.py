"""vzubc: the beancounters of containers for people, with how far each one is enforced."""

import sys
from collections.abc import Iterator, Sequence

from vztmpl.cli.errors import guarded
from vztmpl.errors import VztmplError
from vztmpl.ve.beancounters import BY_NAME, Fidelity, fidelity
from vztmpl.ve.ubc import Row
from vztmpl.ve.units import UNLIMITED, short

_HELP = """Usage: vzubc [-q] [CTID | NAME ...]
       vzubc --help

Show the beancounters of the containers that run, or of those that are named: what is held, the
most so far, barrier and limit, and how often more was refused.

  -q, --quiet   only rows that were refused something, or hold over 90% of their limit

The last column says what a limit is worth on this host: exact, partial (docs/resources.md says
how far), accounting (it is counted and bounds nothing) or none.

Example: vzubc -q 101
"""
_ROW = "{:<14}{:>9}{:>9}{:>9}{:>9}{:>9}  {}"
_NEAR = 0.9


def main(argv: Sequence[str] | None = None) -> int:
    """Run one vzubc command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _main(words), lambda _: 1)


def _main(words: list[str]) -> int:
    from getopt import GetoptError, gnu_getopt

    try:
        options, named = gnu_getopt(words, "q", ["quiet", "help"])
    except GetoptError as error:
        raise VztmplError(str(error), hint="vzubc --help") from error
    if ("--help", "") in options:
        sys.stdout.write(_HELP)
        return 0
    for line in _lines(named, quiet=bool(options)):
        sys.stdout.write(f"{line}\n")
    return 0


def _lines(named: Sequence[str], *, quiet: bool) -> Iterator[str]:
    from vztmpl import settings
    from vztmpl.ve import cgroup, config, readings, resources, ubc

    node = settings.load()
    unified = cgroup.host_hierarchies().unified
    for ctid in [config.find(node, name) for name in named] or config.all_ctids(node):
        place = readings.place(node, ctid)
        if place or named:
            loaded = config.load_live(node, ctid)
            yield f"CT {ctid}{'' if place else ' (stopped)'}"
            yield _ROW.format("", "HELD", "MAX", "BARRIER", "LIMIT", "FAILED", "ENFORCED")
            for name, row in ubc.rows(loaded, place).items():
                if not quiet or _is_tight(row):
                    yield _row(name, row, fidelity(loaded.beancounters, name, unified=unified))
            given = loaded.beancounters
            for name, why in resources.not_enforced(loaded, given, unified=unified).items():
                yield f"  {name} is not enforced: {why}"


def _row(name: str, row: Row, enforced: Fidelity) -> str:
    unit = BY_NAME[name].unit
    read = ["" if number is None else short(number, unit) for number in row.read[:2]]
    bounds = [short(number, unit) for number in row.bounds]
    return _ROW.format(name, *read, *bounds, row.read.failcnt or "", enforced)


def _is_tight(row: Row) -> bool:
    held, limit = row.read.held, row.bounds[1]
    near = held is not None and limit not in (0, UNLIMITED) and held > limit * _NEAR
    return bool(row.read.failcnt) or near
