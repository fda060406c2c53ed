"""A person's terminal joined to one of a VE's own.

Ours is never handed in: whoever keeps its descriptor could read what is typed later. The VE's side
is a pseudo terminal made inside the VE, whose other end the OCI runtime sends us (runc's
``docs/terminals.md``, --console-socket); bytes and sizes are carried between the two.
"""

import array
import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CHUNK = 1 << 14


@contextmanager
def raw(resize: Callable[[int, int], None]) -> Iterator[None]:
    """Have every key of our terminal arrive here, if stdin is one.

    ``resize(rows, columns)`` hears of its size now and whenever it changes.
    """
    if not os.isatty(0):
        yield
        return

    def resized(*_: object) -> None:
        size = os.get_terminal_size(0)
        resize(size.lines, size.columns)

    before = termios.tcgetattr(0)
    previous = signal.signal(signal.SIGWINCH, resized)
    resized()
    try:
        tty.setraw(0, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)


def joined(folder: Path, start: Callable[[Path], int]) -> int:
    """Join our terminal to that of a program; return its status.

    ``start`` starts the runtime with the console socket that it is given, and returns its pid.
    """
    place = folder / f"console.{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(short(place))
        try:
            listener.listen(1)
            child = start(place)
            ended = os.pidfd_open(child)
            ready, _, _ = select.select([listener.fileno(), ended], [], [])
            terminal = _received(listener) if listener.fileno() in ready else -1
        finally:
            place.unlink()
    if terminal >= 0:
        with raw(lambda rows, columns: termios.tcsetwinsize(terminal, (rows, columns))):
            _carry(terminal, ended)
        os.close(terminal)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def short(path: Path) -> str:
    """Return a path that fits into a socket's address, which has room for 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{path.name}"


def _received(listener: socket.socket) -> int:
    """Return the descriptor that the runtime sends."""
    with listener.accept()[0] as link:
        _, extra, _, _ = link.recvmsg(4096, socket.CMSG_SPACE(4))
    descriptors = array.array("i", extra[0][2] if extra else b"\xff\xff\xff\xff")
    return descriptors[0]


def _carry(terminal: int, ended: int) -> None:
    """Move bytes both ways until the program ended and all that it said is shown.

    A program that reads nothing must not hold up what it says, nor our ears for its end.
    """
    os.set_blocking(terminal, False)
    typed, sources = b"", [0, terminal, ended]
    while True:
        wanted = [source for source in sources if source != 0 or not typed]
        ready, writable, _ = select.select(wanted, [terminal] if typed else [], [])
        if terminal in ready:
            try:
                os.write(1, os.read(terminal, _CHUNK))
            except OSError:  # EIO: nobody in the VE has its side open any more
                typed, sources = b"", [ended]
        elif ended in ready:
            return
        if 0 in ready and 0 in sources:
            typed = os.read(0, _CHUNK)
            if not typed:  # our terminal went away
                sources.remove(0)
        if writable and typed:
            typed = typed[os.write(terminal, typed) :]
