"""Linting a tar while it is being packed, in a thread of its own: most of it costs no time then."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from vztmpl.build.lint import Report, lint
from vztmpl.build.rules import Waiver
from vztmpl.template.members import members_of
from vztmpl.template.name import TemplateName

_PIECES_AHEAD = 4
_ANY_SIZE = 1 << 62  # it is our own tar that is read


@contextmanager
def linting(
    name: TemplateName, epoch: int, waivers: Sequence[Waiver], where: Path
) -> Iterator[tuple[Callable[[bytes], None], Future[Report]]]:
    """Yield what is to be told each piece of the tar, and the report, which is there afterwards."""
    pieces: Queue[bytes] = Queue(_PIECES_AHEAD)
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(_report, pieces, name, epoch, waivers, where)
        try:
            yield pieces.put, report
        finally:
            pieces.put(b"")


class _Fed:
    """A stream that waits for its pieces."""

    def __init__(self, pieces: Queue[bytes]) -> None:
        self._pieces = pieces
        self._ended = False

    def read(self, _: int) -> bytes:
        piece = b"" if self._ended else self._pieces.get()
        self._ended = not piece
        return piece


def _report(
    pieces: Queue[bytes], name: TemplateName, epoch: int, waivers: Sequence[Waiver], where: Path
) -> Report:
    stream = _Fed(pieces)
    try:
        return lint(members_of(stream, _ANY_SIZE, where), name, epoch, waivers)
    finally:
        while stream.read(0):
            pass  # whoever packs waits until its pieces are taken
