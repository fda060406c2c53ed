"""Running things inside a tree, walled in: bubblewrap makes the walls.

What runs there has the tree as its whole file system, devices that hold nothing, no view of other
processes, and no network unless it is given one. It may act as root on the tree's own files but
has no capability that reaches further, so even a hostile script can't write outside the tree.
Nothing that it starts outlives it, or us.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vztmpl.build.parts import Script, TreeFile, as_bytes, as_text
from vztmpl.errors import CommandError
from vztmpl.progress import Progress, Silent
from vztmpl.run import STANDARD_PATH, piped, run

_ENVIRONMENT = {
    "PATH": STANDARD_PATH,
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "TMPDIR": "/tmp",  # noqa: S108 - the tree's
}
_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
_RESOLVER = Path("/etc/resolv.conf")
_READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus")
_PUT = """
mkdir -p "${1%/*}"; rm -f "$1"; cat >"$1"; chmod "$2" "$1"; [ -z "$3" ] || chown -- "$3" "$1"
"""


def run_inside(
    tree: Path,
    argv: Sequence[str],
    *,
    stdin: str = "",
    network: bool = False,
    progress: Progress | None = None,
) -> str:
    """Run a program of the tree's inside the tree and return what it printed."""
    command = inside(tree, argv, network=network)
    try:
        return run(command, stdin=stdin, on_line=(progress or Silent()).note)
    except CommandError as error:
        shown = [argv[0], "…", *argv[4:]] if argv[1:2] == ["-euc"] else argv
        raise CommandError(shown, error.status, error.tail, hint=error.hint) from None


def run_script(tree: Path, script: Script, epoch: int, progress: Progress | None = None) -> None:
    """Run a shell script inside the tree; its first failing command fails it."""
    environment = {"SOURCE_DATE_EPOCH": str(epoch)}
    command = inside(tree, ["/bin/sh", "-eu"], network=script.network, environment=environment)
    if script.network:
        give_resolver(tree)
    limit = ["timeout", "--signal=KILL", str(script.timeout_seconds)]
    begun = time.monotonic()
    try:
        run([*limit, *command], stdin=script.text, on_line=(progress or Silent()).note)
    except CommandError as error:
        tail, hint = error.tail, error.hint
        if time.monotonic() - begun >= script.timeout_seconds:
            tail += f"it had not ended after {script.timeout_seconds} s\n"
            hint = "give it more with `timeout`, in seconds, or find what it waits for"
        raise CommandError(["/bin/sh", "-eu"], error.status, tail, hint=hint) from None


def inside(
    tree: Path,
    argv: Sequence[str],
    *,
    network: bool = False,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the command that runs ``argv`` inside the tree."""
    variables = {**_ENVIRONMENT, **(environment or {})}
    return [
        "bwrap", "--die-with-parent", "--new-session",
        "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        *([] if network else ["--unshare-net"]),
        "--cap-drop", "ALL", *_each("--cap-add", (f"CAP_{name}" for name in _CAPABILITIES)),
        "--bind", str(tree), "/", "--proc", "/proc", "--dev", "/dev",
        *(word for path in _READ_ONLY for word in ("--ro-bind-try", path, path)),
        "--chdir", "/", "--clearenv",
        *(word for pair in variables.items() for word in ("--setenv", *pair)),
        "--", *argv,
    ]  # fmt: skip


def put(tree: Path, file: TreeFile) -> None:
    """Write a file from inside the tree, so that no link in it leads out."""
    command = inside(tree, ["sh", "-euc", _PUT, "sh", file.path, f"{file.mode:o}", file.owner])
    with piped(command, feed=True) as pipe:
        pipe.write(as_bytes(file.content))


def give_resolver(tree: Path) -> None:
    """Let what runs inside find hosts by name; cleaning takes it away again."""
    if _RESOLVER.exists():
        content = as_text(_RESOLVER.read_bytes())
        put(tree, TreeFile(path=str(_RESOLVER), content=content, mode=0o644))


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
