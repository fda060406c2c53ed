"""A VE's console: conmon holds the terminal that init writes to, and lets others look and type.

conmon listens on ``attach`` (a SOCK_SEQPACKET socket): each packet from it begins with a byte that
names the stream, what is sent to it is typed. Lines written into ``ctl`` as ``1 ROWS COLUMNS``
change the size of the terminal (conmon's ``src/conn_sock.c`` and ``src/ctrl.c``).
"""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.status import run_folder, running_boot

if TYPE_CHECKING:
    import socket

_ESCAPE, _DETACH = 0x1B, ord(".")
_CHUNK = 8192  # conmon reads and writes no more at once


def attach(node: Node, ctid: int) -> None:
    """Join our stdin and stdout to a VE's console until Esc . is typed, or the VE ends."""
    import socket

    if running_boot(node, ctid) is None:
        raise VEError(
            "Container is not running", vz_code=codes.VE_NOT_RUNNING, hint=f"vzctl start {ctid}"
        )
    folder = run_folder(node, ctid)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link,
        _raw_terminal(folder / "ctl"),
    ):
        link.connect(_short(folder / str(ctid) / "attach"))
        _relay(link)


def _relay(link: "socket.socket") -> None:
    keys = _Keys()
    sources: list[int] = [link.fileno(), 0]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if link.fileno() in ready:
            packet = link.recv(_CHUNK + 1)
            if not packet:
                return
            os.write(1, packet[1:])
        if 0 in ready:
            typed = os.read(0, _CHUNK)
            if not typed:
                sources.remove(0)
            elif (wanted := keys.passed(typed)) is None:
                return
            elif wanted:
                link.send(wanted)


class _Keys:
    """Finds Esc . in what is typed; Esc alone is passed on with what follows it."""

    def __init__(self) -> None:
        self._escaped = False

    def passed(self, typed: bytes) -> bytes | None:
        """Return what goes to the VE; None when it is time to leave."""
        out = bytearray()
        for key in typed:
            if self._escaped:
                self._escaped = False
                if key == _DETACH:
                    return None
                out.append(_ESCAPE)
            if key == _ESCAPE:
                self._escaped = True
            else:
                out.append(key)
        return bytes(out)


@contextmanager
def _raw_terminal(control: Path) -> Iterator[None]:
    """Have every key go to the VE, and our terminal's size too, as long as the block runs."""
    if not os.isatty(0):
        yield
        return
    import termios
    import tty

    def resize(*_: object) -> None:
        size = os.get_terminal_size(0)
        with suppress(OSError):
            control.write_text(f"1 {size.lines} {size.columns}\n")

    before = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, resize)
    resize()
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
        sys.stdout.write("\n")


def _short(path: Path) -> str:
    """Return a path that fits into a socket's address, which has room for 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{path.name}"
