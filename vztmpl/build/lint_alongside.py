"""Linting a tar while it is being packed, in a thread of its own: most of it costs no time then."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from vztmpl.build.lint import Report, lint
from vztmpl.build.rules import Waiver
from vztmpl.template.name import TemplateName
from vztmpl.template.walk import walk_tar

_PIECES_AHEAD = 4
_ANY_SIZE = 1 << 62  # it is our own tar that is read


@contextmanager
def linting(
    name: TemplateName, epoch: int, waivers: Sequence[Waiver], where: Path
) -> Iterator[tuple[Callable[[bytes], None], Future[Report]]]:
    """Yield what is to be told each piece of the tar, and the report, which is there afterwards."""
    pieces: Queue[bytes] = Queue(_PIECES_AHEAD)
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(_report, iter(pieces.get, b""), name, epoch, waivers, where)
        try:
            yield pieces.put, report
        finally:
            pieces.put(b"")


def _report(
    pieces: Iterator[bytes], name: TemplateName, epoch: int, waivers: Sequence[Waiver], where: Path
) -> Report:
    try:
        return lint(walk_tar(pieces, _ANY_SIZE, where), name, epoch, waivers)
    finally:
        for _ in pieces:
            pass  # whoever packs waits until its pieces are taken
