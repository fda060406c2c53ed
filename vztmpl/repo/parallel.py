"""Fetching several templates at once; what goes wrong with one stops no other."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from vztmpl.errors import VztmplError
from vztmpl.progress import Progress
from vztmpl.repo.client import Client, Fetched

_AT_ONCE = 2
"""Each may hold 128 MB, the window of a decompressor."""


def fetch_all(
    client: Callable[[Progress], Client], names: Sequence[str], remote: str, progress: Progress
) -> tuple[list[Fetched], list[VztmplError]]:
    """Fetch templates; return those that came and the errors of the others."""
    if len(names) == 1:
        return _collected([lambda: client(progress).fetch(names[0], remote)])
    progress.phase(f"fetching {len(names)} templates")
    board = _Board(progress=progress)
    with ThreadPoolExecutor(_AT_ONCE) as workers:
        try:
            jobs = [
                workers.submit(client(_Row(board=board, name=name)).fetch, name, remote)
                for name in names
            ]
            return _collected([job.result for job in jobs])
        except BaseException:
            board.stopped = True
            workers.shutdown(wait=False, cancel_futures=True)
            raise


def _collected(
    calls: Sequence[Callable[[], Fetched]],
) -> tuple[list[Fetched], list[VztmplError]]:
    fetched, failed = [], []
    for call in calls:
        try:
            fetched.append(call())
        except VztmplError as error:
            failed.append(error)
    return fetched, failed


@dataclass(slots=True, kw_only=True)
class _Board:
    """Where all fetches say how far they are."""

    progress: Progress
    lock: Lock = field(default_factory=Lock)
    states: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def show(self, name: str, state: str) -> None:
        with self.lock:
            if self.stopped:
                raise VztmplError("interrupted")
            self.states[name] = state
            self.progress.note(", ".join(f"{one} {how}" for one, how in self.states.items()))


@dataclass(slots=True, kw_only=True)
class _Row:
    """The progress of one of the fetches."""

    board: _Board
    name: str
    total: int = 0
    done: int = 0

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:  # noqa: ARG002
        self.total, self.done = total, 0
        self.board.show(self.name, title.partition(" ")[0])

    def advance(self, count: int) -> None:
        self.done += count
        if self.total:
            self.board.show(self.name, f"{100 * self.done // self.total} %")

    def note(self, line: str) -> None:
        """Do nothing: there is no room for it."""
