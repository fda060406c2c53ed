"""Running programs inside a VE.

The OCI runtime's ``exec`` joins the VE; this process first joins its cgroup2 group and gets a
mount namespace as runtime.py says, then becomes the runtime. A terminal is never handed into the
VE: whoever keeps its descriptor open could read what the admin types later. Where all three of
stdin, stdout and stderr are terminals the VE gets one of its own; where only some are, their bytes
are carried through pipes.
"""

import os
import select
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from vztmpl.errors import VEError
from vztmpl.run import STANDARD_PATH, attached, replace
from vztmpl.settings import Node
from vztmpl.ve import cgroup, codes, freezer, rlimits, runtime
from vztmpl.ve.status import Boot, require_running, run_folder

_ENVIRONMENT = {
    "PATH": STANDARD_PATH,
    "HOME": "/",
    "container": "vztmpl",
}
_SHELL = 's=/bin/bash; [ -x $s ] || s=/bin/sh; $s -c "$1" || exit'
_LOGIN = (
    '[ -z "$1" ] || eval "$1"; if [ -x /bin/bash ]; then exec /bin/bash -l; fi; exec /bin/sh -l'
)
_CHUNK = 1 << 16
_SCRIPT_DESCRIPTOR = 3  # the first that the runtime hands on


def shell_command(words: Sequence[str], failed: str = "$?") -> list[str]:
    """Return what runs a shell command line in a VE; ``failed`` is the status of a failed one."""
    line = " ".join(word or "''" for word in words)
    return ["/bin/sh", "-c", f"{_SHELL} {failed}", "sh", line]


def login_command(first: Sequence[str]) -> list[str]:
    """Return what gives a person a shell in a VE, with a command line run ``first``."""
    return ["/bin/sh", "-c", _LOGIN, "sh", " ".join(first)]


def execute(node: Node, ctid: int, argv: Sequence[str]) -> NoReturn:
    """Run ``argv`` in a running VE on our stdin, stdout and stderr; ends this process."""
    terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]
    if len(terminals) == 3:  # noqa: PLR2004
        os._exit(_on_terminal(node, ctid, argv))
    command = _prepared(node, ctid, argv)
    if terminals:
        os._exit(_carried(command, terminals))
    replace(command)


def enter(node: Node, ctid: int, argv: Sequence[str]) -> int:
    """Run ``argv`` in a running VE as ``execute`` does, and return its status."""
    if all(os.isatty(descriptor) for descriptor in (0, 1, 2)):
        return _on_terminal(node, ctid, argv)
    return attached(_prepared(node, ctid, argv))


def run_quietly(node: Node, ctid: int, argv: Sequence[str], stdin: bytes = b"") -> int:
    """Run ``argv`` in a running VE apart from our own stdin and stdout; return its status."""

    def become() -> NoReturn:
        os.dup2(_filled("stdin", stdin), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        replace(_prepared(node, ctid, argv))

    return _waited(_apart(become))


def run_script(node: Node, ctid: int, script: Path, arguments: Sequence[str] = ()) -> int:
    """Run a file of the host's in a running VE, on our stdin and stdout; return its status.

    It gets there as a descriptor, not as a file in the VE's tree: nothing is left, and the VE's
    root has no say in what is run.
    """
    content = script.read_bytes()

    def become() -> NoReturn:
        os.dup2(_filled("script", content), _SCRIPT_DESCRIPTOR)
        os.set_inheritable(_SCRIPT_DESCRIPTOR, True)  # it may have been that one already
        place = f"/proc/self/fd/{_SCRIPT_DESCRIPTOR}"
        argv = ["/bin/sh", "-c", f'{place} "$@"', script.name, *arguments]
        replace(_prepared(node, ctid, argv, "--preserve-fds=1"))

    return _waited(_apart(become))


def _on_terminal(node: Node, ctid: int, argv: Sequence[str]) -> int:
    """Run ``argv`` in a running VE on a terminal of its own, joined to ours; return its status."""
    from vztmpl.ve import terminal

    _awake(node, ctid)

    def start(console: Path) -> int:
        words = ("--tty", f"--console-socket={console}")
        return _apart(lambda: replace(_prepared(node, ctid, argv, *words)))

    return terminal.joined(run_folder(node, ctid), start)


def _waited(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _apart(become: Callable[[], NoReturn]) -> int:
    """Do it in a child, whose namespaces and groups change while ours stay; return its pid."""
    child = os.fork()
    if child == 0:
        try:
            become()
        finally:
            os._exit(127)
    return child


def _filled(name: str, content: bytes) -> int:
    """Return a descriptor that ``content`` is read from, or run from."""
    descriptor = os.memfd_create(name)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.fchmod(descriptor, 0o755)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _prepared(node: Node, ctid: int, argv: Sequence[str], *options: str) -> list[str]:
    """Prepare this process to become the runtime, and return the runtime's command line."""
    rlimits.adopt(_awake(node, ctid).pid)
    runtime.join(cgroup.of_ve(node.tag, ctid))
    environment: Mapping[str, str] = {**_ENVIRONMENT, "TERM": os.environ.get("TERM") or "linux"}
    return runtime.exec_command(node, ctid, argv, environment, *options)


def _awake(node: Node, ctid: int) -> Boot:
    boot = require_running(node, ctid)
    if freezer.is_frozen(node, ctid):
        raise VEError(
            "Container is suspended", vz_code=codes.VE_NOT_RUNNING, hint=f"vzctl resume {ctid}"
        )
    return boot


def _carried(command: Sequence[str], terminals: Sequence[int]) -> int:
    """Run a program with pipes in place of ``terminals``, carry the bytes, return its status."""
    pipes = {descriptor: os.pipe() for descriptor in terminals}
    ours = {descriptor: pipes[descriptor][1 if descriptor == 0 else 0] for descriptor in pipes}
    child = os.fork()
    if child == 0:
        try:
            for descriptor, ends in pipes.items():
                os.dup2(ends[0 if descriptor == 0 else 1], descriptor)
            replace(command)
        finally:
            os._exit(127)
    for descriptor, ends in pipes.items():
        os.close(ends[0 if descriptor == 0 else 1])
    _carry(ours, os.pidfd_open(child))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _carry(ours: dict[int, int], ended: int) -> None:
    """Move bytes both ways until the program ended and its output is read."""
    outputs = {end: descriptor for descriptor, end in ours.items() if descriptor}
    sources: dict[int, int] = {**outputs, **({0: ours[0]} if 0 in ours else {})}
    while True:
        ready, _, _ = select.select([*sources, ended], [], [])
        for source in ready:
            if source == ended:
                continue
            if not _moved(source, sources[source]):
                target = sources.pop(source)
                if source == 0:
                    os.close(target)  # the program sees the end of its input
        if ended in ready and not any(source in ready for source in outputs):
            return


def _moved(source: int, target: int) -> bool:
    """Move what there is to read; False at the end of it, or when nobody takes it any more."""
    try:
        data = os.read(source, _CHUNK)
        for start in range(0, len(data), select.PIPE_BUF):
            os.write(target, data[start : start + select.PIPE_BUF])
    except OSError:  # EPIPE: the program closed its input; EIO: our terminal went away
        return False
    return bool(data)
