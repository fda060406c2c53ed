"""Several works at once, each in a process of its own, so that one that fails stops no other.

A work tells its progress, and how it ended, as lines of JSON in a pipe. It ends when its pipe does:
nothing goes on when this process is killed.
"""

import io
import json
import os
import selectors
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from vztmpl.cli import progress
from vztmpl.cli.errors import guarded
from vztmpl.progress import Progress

Work = Callable[[Progress], object]
"""Does it and returns a result that JSON can hold."""


class Teller:
    """Progress, as lines of JSON."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def phase(self, title: str, total: int = 0, unit: str = "B") -> None:
        """Pass it on."""
        self.tell("phase", title, total, unit)

    def advance(self, count: int) -> None:
        """Pass it on."""
        self.tell("advance", count)

    def note(self, line: str) -> None:
        """Pass it on."""
        self.tell("note", line)

    def tell(self, *words: object) -> None:
        """Write one line."""
        line = f"{json.dumps(words)}\n".encode()
        while line:
            line = line[os.write(self._descriptor, line) :]


@dataclass(slots=True, kw_only=True)
class Job:
    """A work that runs or has ended."""

    name: str
    pid: int
    pipe: int
    track: progress.Track
    position: int
    heard: bytes = b""
    status: int = 1
    result: object = None


def run_all(works: Mapping[str, Work], limit: int, has_room: Callable[[int], bool]) -> list[Job]:
    """Do all works, at most ``limit`` at once and while there ``has_room`` beside those that run.

    Errors go to stderr as they come. An interrupt ends all.
    """
    waiting, running, ended = [*works.items()], dict[int, Job](), dict[str, Job]()
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and (
                    not running or (len(running) < limit and has_room(len(running)))
                ):
                    job = _begin(*waiting.pop(0), {job.position for job in running.values()})
                    running[job.pipe] = job
                    selector.register(job.pipe, selectors.EVENT_READ)
                for key, _ in selector.select():
                    job = running[key.fd]
                    if not _listen(job):
                        selector.unregister(key.fd)
                        ended[job.name] = running.pop(key.fd)
        finally:
            _end(running.values())
    return [ended[name] for name in works]


def _begin(name: str, work: Work, taken: set[int]) -> Job:
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        _do(work, Teller(write))
    os.close(write)
    position = min(set(range(len(taken) + 1)) - taken)
    track = progress.track(name, position)
    return Job(name=name, pid=pid, pipe=read, track=track, position=position)


def _do(work: Work, teller: Teller) -> NoReturn:
    """Be the process of a work, and never return into this copy of the program."""
    sys.stderr = said = io.StringIO()
    status = 1
    try:
        status = guarded(lambda: teller.tell("result", work(teller)))
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(BrokenPipeError):
            teller.tell("end", status, said.getvalue())
        os._exit(status)


def _listen(job: Job) -> bool:
    """Take in what a job says; False when it has ended."""
    told = os.read(job.pipe, 1 << 16)
    *lines, job.heard = (job.heard + told).split(b"\n")
    for line in lines:
        match json.loads(line):
            case ["phase", title, total, unit]:
                job.track.phase(title, total, unit)
            case ["advance", count]:
                job.track.advance(count)
            case ["note", text]:
                job.track.note(text)
            case ["result", result]:
                job.result = result
            case ["end", status, said]:
                job.status = status
                job.track.end("failed" if status else "done")
                sys.stderr.write(said)
    if not told:
        job.track.end("killed")
        os.close(job.pipe)
        os.waitpid(job.pid, 0)
    return bool(told)


def _end(running: Iterable[Job]) -> None:
    for job in running:
        os.kill(job.pid, signal.SIGTERM)
    for job in running:
        job.track.end("interrupted")
        os.close(job.pipe)
        os.waitpid(job.pid, 0)
