"""Running external programs: the only module that imports subprocess.

Programs get a list of arguments, no stdin, a rebuilt environment and the C.UTF-8 locale.
``subprocess`` costs several milliseconds to import, so only ``piped``, which no hot verb calls,
has it; all else is posix_spawn(3).
"""

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from vztmpl.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = ("PATH", "TMPDIR", "VZ_SYSROOT", "http_proxy", "https_proxy", "no_proxy")
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TAIL_LINES = 20
_PIPE_BYTES = 1 << 20  # what an ordinary user may have; fewer switches between the two sides


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run a program to its end and return what it wrote to stdout and stderr, mixed.

    ``on_line`` is told of each line as it comes. A status that is not in ``ok`` is a CommandError.
    """
    lines: list[str] = []
    child, output = _spawned(argv, stdin, env)
    try:
        with open(output, encoding="utf-8", errors="replace") as said:  # noqa: PTH123 - a descriptor
            for line in said:
                lines.append(line)
                if on_line:
                    on_line(line.rstrip("\n"))
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in ok:
        raise CommandError(_texts(argv), status, "".join(lines[-_TAIL_LINES:]))
    return "".join(lines)


@contextmanager
def piped(
    argv: Sequence[str | Path],
    *,
    feed: bool = False,
    output: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> "Iterator[IO[bytes]]":
    """Yield a program's stdout, or its stdin when ``feed`` is set; the block's end waits for it.

    What a fed program writes to stdout goes to ``output`` if that is given. What it says on stderr
    becomes the tail of the CommandError. A program that ends before it has read all that it was
    fed has failed, whatever its status.
    """
    import subprocess
    import tempfile

    whole = False
    with tempfile.TemporaryFile() as said:
        stdin, stdout = (
            (subprocess.PIPE, output or said) if feed else (subprocess.DEVNULL, subprocess.PIPE)
        )
        with (
            _translated(argv),
            subprocess.Popen(
                _texts(argv),
                stdin=stdin,
                stdout=stdout,
                stderr=said,
                env=environment(env),
                pipesize=_PIPE_BYTES,
            ) as process,
        ):
            pipe = process.stdin if feed else process.stdout
            assert pipe is not None  # noqa: S101
            try:
                yield pipe
                pipe.close()
                whole = True
            except BrokenPipeError:  # the program's own status and words say why
                with suppress(BrokenPipeError):
                    pipe.close()
            except BaseException:
                process.kill()
                raise
        if process.returncode or not whole:
            said.seek(0)
            tail = b"".join(said.readlines()[-_TAIL_LINES:]).decode(errors="replace")
            raise CommandError(_texts(argv), process.returncode, tail)


def attached(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
    """Run a program on our own stdin, stdout and stderr; return its exit status.

    Interrupts from the terminal are the program's to handle while it runs.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _translated(argv):
            pid = os.posix_spawnp(
                str(argv[0]), _texts(argv), environment(env), setsigdef=[signal.SIGINT]
            )
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        signal.signal(signal.SIGINT, before)


def replace(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> NoReturn:
    """Become another program; does not return."""
    with _translated(argv):
        os.execvpe(str(argv[0]), _texts(argv), environment(env))


def launch(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, output: Path
) -> None:
    """Run a program that goes on in the background; return when its first process has ended.

    Inheritable descriptors stay open in it; what it says goes to the file ``output``.
    """
    words = _texts(argv)
    log = (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    actions = [null, log, (os.POSIX_SPAWN_DUP2, 1, 2)]
    with _translated(argv):
        child = os.posix_spawnp(words[0], words, environment(env), file_actions=actions)
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise CommandError(words, status, output.read_text(errors="replace"))


def confined(argv: Sequence[str | Path], *, network: bool = True) -> list[str]:
    """Wrap a command in pid and mount namespaces of its own, and maybe one without a network.

    Nothing that it starts outlives it, and all of it dies with us, however we die. Package
    scripts start daemons that would otherwise hold our pipes open for ever. What the host unmounts
    meanwhile goes from there too.
    """
    keep = ["setpriv", "--pdeathsig=KILL", "--"]
    mounts = ["--mount", "--propagation=slave", "--mount-proc"]
    own = ["unshare", *mounts, "--pid", "--fork", "--kill-child"]
    return [*keep, *own, *([] if network else ["--net"]), "--", *_texts(argv)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make the environment that programs get: what matters of ours, the C.UTF-8 locale, extras."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept.setdefault("PATH", STANDARD_PATH)
    return {**kept, "LC_ALL": "C.UTF-8", "HOME": "/root", **(extra or {})}


def _spawned(
    argv: Sequence[str | Path], stdin: str, env: Mapping[str, str] | None
) -> tuple[int, int]:
    """Start a program; return its pid and the end of a pipe that brings what it says.

    Its stdin is a file in memory: a program that does not read it blocks nobody.
    """
    given = os.memfd_create("stdin")
    read_end, write_end = os.pipe()
    try:
        os.write(given, stdin.encode(errors="surrogateescape"))
        os.lseek(given, 0, os.SEEK_SET)
        pairs = ((given, 0), (write_end, 1), (write_end, 2))
        with _translated(argv):
            child = os.posix_spawnp(
                str(argv[0]),
                _texts(argv),
                environment(env),
                file_actions=[(os.POSIX_SPAWN_DUP2, ours, theirs) for ours, theirs in pairs],
                setsigdef=[signal.SIGPIPE],  # Python ignores it, programs count on it
            )
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(given)
        os.close(write_end)
    return child, read_end


@contextmanager
def _translated(argv: Sequence[str | Path]) -> "Iterator[None]":
    try:
        yield
    except FileNotFoundError as error:
        if error.filename not in (None, str(argv[0])):
            raise
        hint = "`vztmpl doctor` says what this machine lacks and how to get it"
        raise CommandError(_texts(argv), 127, f"{argv[0]} is not installed", hint=hint) from error


def _texts(argv: Iterable[str | Path]) -> list[str]:
    return [os.fspath(argument) for argument in argv]
