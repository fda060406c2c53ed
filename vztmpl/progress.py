"""How long work says where it stands: an interface that the command line implements."""

from typing import Protocol


class Progress(Protocol):
    """Told of phases and of how much of a phase is done."""

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:
        """Begin a phase; ``total`` is how many bytes or other units it has, 0 when unknown."""

    def advance(self, count: int) -> None:
        """Say that so much more of the phase is done."""

    def note(self, line: str) -> None:
        """Show a line that a program printed, where there is room for it."""


class Silent:
    """Progress that nobody watches."""

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:
        """Do nothing."""

    def advance(self, count: int) -> None:
        """Do nothing."""

    def note(self, line: str) -> None:
        """Do nothing."""
