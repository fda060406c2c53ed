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

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:  # noqa: ARG002 - for bars
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

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:
        """Begin a phase with a bar when it is known how much is to be done."""
        super().phase(title)
        if total:
            self._bar = _bar(title, total, unit)

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


class Track:
    """Progress of one of several works at once: a whole line in the log for each phase."""

    def __init__(self, name: str) -> None:
        self._name, self._title, self._began = name, "", monotonic()

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:  # noqa: ARG002 - for bars
        """Begin a phase; the one before is done."""
        self.end("done")
        self._title, self._began = title, monotonic()

    def advance(self, count: int) -> None:
        """Do nothing: a log shows no bars."""

    def note(self, line: str) -> None:
        """Do nothing: an error shows a program's last lines."""

    def end(self, how: str) -> None:
        """Say how the phase went."""
        if self._title:
            took = f"{monotonic() - self._began:.1f} s"
            self._write(f"{self._name}: {self._title} … {how} in {took}")
            self._title = ""

    def _write(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


class BarTrack(Track):
    """A line of its own that stays in place, with a bar where the total is known."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(name)
        self._position = position
        self._bar: tqdm[NoReturn] | None = None

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:
        """Show the phase in place of the one before."""
        super().phase(title)
        self._bar = _bar(f"{self._name}: {title}", total, unit, self._position)

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(count)

    def note(self, line: str) -> None:
        """Show the line behind the title until the next one comes."""
        if self._bar is not None and not self._bar.total:
            text = "".join(filter(str.isprintable, line.strip().expandtabs()))
            self._bar.set_description_str(f"{self._name}: {self._title} … {text}")

    def end(self, how: str) -> None:
        """Say how the phase went, above the lines of those that go on."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        super().end(how)

    def _write(self, line: str) -> None:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)


def track(name: str, position: int) -> Track:
    """Return the progress of one of several works, the ``position``-th from above."""
    return BarTrack(name, position) if sys.stderr.isatty() else Track(name)


def shown() -> Lines:
    """Return the progress for this stderr; it is a context manager that ends the last phase."""
    return Bars() if sys.stderr.isatty() else Lines()


def _bar(title: str, total: int, unit: str, position: int | None = None) -> "tqdm[NoReturn]":
    """Make a bar with rate and time left; without a total it is the title alone."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # it would start a thread
    return tqdm(
        desc=title, total=total, leave=False, file=sys.stderr, position=position,
        unit=unit if unit == "B" else f" {unit}", unit_scale=unit == "B",
        dynamic_ncols=True, bar_format=None if total else "{desc}",
    )  # fmt: skip
