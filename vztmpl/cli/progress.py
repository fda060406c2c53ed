"""Progress on stderr: bars for people on a terminal, one line per phase for logs.

Stdout stays free for results, so ``--json`` output is clean while progress shows.
"""

import shutil
import sys
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

if TYPE_CHECKING:
    from tqdm import tqdm

_ERASE_LINE = "\r\033[K"


class Lines:
    """One line per phase: ``title … done in 3.2 s``."""

    def __init__(self) -> None:
        self._title = ""
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._end("failed" if kind else "done")

    def phase(self, title: str, total: int = 0) -> None:  # noqa: ARG002 - the bars use it
        """Begin a phase; the one before is done."""
        self._end("done")
        self._title, self._began = title, monotonic()
        self._write(f"{title} … ")

    def advance(self, count: int) -> None:
        """Do nothing: a log shows no bars."""

    def note(self, line: str) -> None:
        """Do nothing: an error shows a program's last lines."""

    def _end(self, how: str) -> None:
        if self._title:
            self._write(f"{how} in {monotonic() - self._began:.1f} s\n")
            self._title = ""

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


class Bars(Lines):
    """A bar with rate and time left where the total is known, else the last note."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[NoReturn] | None = None

    def phase(self, title: str, total: int = 0) -> None:
        """Begin a phase with a bar when ``total`` bytes are to be done."""
        super().phase(title)
        if total:
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # it would start a thread
            self._bar = tqdm(
                desc=title, total=total, unit="B", unit_scale=True, leave=False, file=sys.stderr,
                dynamic_ncols=True,
            )  # fmt: skip

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(count)

    def note(self, line: str) -> None:
        """Show the line behind the title until the next one comes."""
        if self._bar is None and self._title:
            text = f"{self._title} … {line.strip()}".expandtabs()
            width = shutil.get_terminal_size().columns - 1
            self._write(f"{_ERASE_LINE}{''.join(filter(str.isprintable, text))[:width]}")

    def _end(self, how: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._title:
            self._write(f"{_ERASE_LINE}{self._title} … ")
        super()._end(how)


def shown() -> Lines:
    """Return the progress for this stderr; it is a context manager that ends the last phase."""
    return Bars() if sys.stderr.isatty() else Lines()
