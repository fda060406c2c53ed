"""A VE's console: conmon holds the terminal that init writes to, and lets others look and type.

conmon listens on ``attach`` (a SOCK_SEQPACKET socket): each packet from it begins with a byte that
names the stream, what is sent to it is typed. Lines written into ``ctl`` as ``1 ROWS COLUMNS``
change the size of the terminal (conmon's ``src/conn_sock.c`` and ``src/ctrl.c``).
"""

import os
import select
import socket
from contextlib import suppress

from vztmpl.settings import Node
from vztmpl.ve import terminal
from vztmpl.ve.status import require_running, run_folder

_ESCAPE, _DETACH = 0x1B, ord(".")
_CHUNK = 8192  # conmon reads and writes no more at once


def attach(node: Node, ctid: int) -> None:
    """Join our stdin and stdout to a VE's console until Esc . is typed, or the VE ends."""
    require_running(node, ctid)
    folder = run_folder(node, ctid)

    def resize(rows: int, columns: int) -> None:
        with suppress(OSError):
            (folder / "ctl").write_text(f"1 {rows} {columns}\n")

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link, terminal.raw(resize):
        link.connect(terminal.short(folder / str(ctid) / "attach"))
        _relay(link)


def _relay(link: socket.socket) -> None:
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
                with suppress(
                    BlockingIOError
                ):  # nobody there reads; Esc . has to work all the same
                    link.send(wanted, socket.MSG_DONTWAIT)


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
