"""Work inside a VE that may not be running: a script of the host's, a user's password.

A stopped VE is brought up for it with a shell that waits in place of its init: it has its root, its
limits and its isolation, and nothing of its own is started.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vztmpl.errors import VEError
from vztmpl.files import locked
from vztmpl.settings import Node
from vztmpl.ve import codes, exec
from vztmpl.ve import config as configuration
from vztmpl.ve.boot import bring_up, shut_down, tear_down
from vztmpl.ve.lifecycle import lock_path, require_private
from vztmpl.ve.resources import Warn
from vztmpl.ve.status import running_boot

_IDLE = ("/bin/sh", "-c", "while :; do sleep 86400; done")


def run_script(node: Node, ctid: int, script: Path, arguments: Sequence[str], warn: Warn) -> int:
    """Run a file of the host's in a VE, on our stdin and stdout; return its status."""
    with _inhabited(node, ctid, warn):
        return exec.run_script(node, ctid, script, arguments)


def set_password(node: Node, ctid: int, user: str, password: str, warn: Warn) -> None:
    """Give a user of a VE a password, by the VE's own means."""
    with _inhabited(node, ctid, warn):
        if exec.run_quietly(node, ctid, ["chpasswd"], f"{user}:{password}\n".encode()):
            raise VEError(
                f"can't set the password of {user!r}",
                vz_code=codes.CHANGEPASS,
                hint="the user has to exist inside the container, and its chpasswd",
            )


@contextmanager
def _inhabited(node: Node, ctid: int, warn: Warn) -> Iterator[None]:
    """Have a VE with processes for the length of the block."""
    if running_boot(node, ctid):
        yield
        return
    with locked(lock_path(node, ctid)), ExitStack() as undo:
        config = configuration.load(node, ctid)
        require_private(config)
        undo.callback(tear_down, node, config)
        undo.callback(shut_down, node, config, fast=True)
        bring_up(node, config, warn, _IDLE)
        yield
