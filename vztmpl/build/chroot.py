"""Running things inside a tree, in namespaces of their own so that nothing outlives them."""

from collections.abc import Sequence
from pathlib import Path

from vztmpl.progress import Progress, Silent
from vztmpl.run import confined, run

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "TMPDIR": "/tmp"}  # noqa: S108 - the tree's
_ENTER = 'mount -t proc proc "$1/proc" && tree=$1 && shift && exec chroot "$tree" "$@"'


def run_inside(tree: Path, argv: Sequence[str], *, stdin: str = "") -> str:
    """Run a program of the tree's inside the tree and return what it printed."""
    enter = confined(["sh", "-c", _ENTER, "sh", tree, *argv])
    return run(enter, stdin=stdin, env=_ENVIRONMENT)


def run_script(tree: Path, text: str, epoch: int, progress: Progress | None = None) -> None:
    """Run a shell script inside the tree; its first failing command fails it."""
    run(
        confined(["sh", "-c", _ENTER, "sh", tree, "/bin/sh", "-eu"]),
        stdin=text,
        env={**_ENVIRONMENT, "SOURCE_DATE_EPOCH": str(epoch)},
        on_line=(progress or Silent()).note,
    )
