"""vz: bring a node's containers up when it boots, and down when it halts.

``vz.service`` and ``/etc/init.d/vz`` call it. VE_PARALLEL containers are started at once, in the
order of BOOTORDER; one that fails is told of and holds nobody up.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from vztmpl.cli.errors import guarded
from vztmpl.cli.vzctl import exit_code
from vztmpl.errors import ConfigError, LockedError, UsageError, during
from vztmpl.settings import Node, load
from vztmpl.ve import lifecycle, services
from vztmpl.ve.config import VEConfig

_HELP = """Usage: vz start | stop | restart | status

start    start the containers that have ONBOOT="yes", and those without ONBOOT that ran before
stop     shut all containers down, within STOP_ALL_TIMEOUT seconds (vz.conf)
status   say "OpenVZ is running..." (exit code 0) or "OpenVZ is stopped." (3)

Example: vz start
"""
_STOPPED = 3
_DEFAULT_BOUND_SECONDS = "300"
_RETRY_SECONDS = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one vz command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _main(words))


def _main(words: list[str]) -> int:
    if words in (["--help"], ["-h"]):
        sys.stdout.write(_HELP)
        return 0
    work = {"start": _start, "stop": _stop, "restart": _restart, "status": _status}
    if len(words) != 1 or words[0] not in work:
        raise UsageError(f"vz can't {' '.join(words) or 'do nothing'}", hint="vz --help")
    return work[words[0]](load())


def _start(node: Node) -> int:
    node.run.mkdir(parents=True, exist_ok=True)
    _mark(node).touch()
    return _all(
        services.to_start(node),
        "starting",
        _at_once(node),
        lambda config: lifecycle.start(node, config.ctid, partial(_warn, config)),
    )


def _warn(config: VEConfig, line: str) -> None:
    sys.stderr.write(f"WARNING: container {config.ctid}: {line}\n")


def _stop(node: Node) -> int:
    end = time.monotonic() + _number(node, "STOP_ALL_TIMEOUT", _DEFAULT_BOUND_SECONDS)

    status = _all(
        services.to_stop(node),
        "stopping",
        _at_once(node),
        lambda config: _stop_one(node, config.ctid, end),
    )
    _mark(node).unlink(missing_ok=True)
    return status


def _stop_one(node: Node, ctid: int, end: float) -> None:
    """Stop a VE, once no other command works on it, by ``end`` (time.monotonic)."""
    while True:
        left_seconds = int(end - time.monotonic())
        fast = left_seconds <= 0
        try:
            lifecycle.stop(node, ctid, fast=fast, within_seconds=left_seconds, forget=False)
        except LockedError:
            if fast:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _restart(node: Node) -> int:
    return _stop(node) or _start(node)


def _status(node: Node) -> int:
    """Print what OpenVZ's init script prints: its vzmigrate asks for it."""
    up = _mark(node).exists()
    sys.stdout.write("OpenVZ is running...\n" if up else "OpenVZ is stopped.\n")
    return 0 if up else _STOPPED


def _all(
    configs: Sequence[VEConfig], doing: str, at_once: int, work: Callable[[VEConfig], object]
) -> int:
    """Do it for every VE, each in a process of its own; return 1 when one of them failed."""
    failed = 0
    running: set[int] = set()
    for config in configs:
        if len(running) >= at_once:
            failed |= _one_ended(running)
        sys.stdout.write(f"{doing} container {config.ctid}\n")
        sys.stdout.flush()
        running.add(_child(config, doing, work))
    while running:
        failed |= _one_ended(running)
    return 1 if failed else 0


def _child(config: VEConfig, doing: str, work: Callable[[VEConfig], object]) -> int:
    child = os.fork()
    if child:
        return child

    def call() -> None:
        with during(f"{doing} container {config.ctid}"):
            work(config)

    status = 1
    try:
        status = guarded(call, exit_code)
    finally:
        os._exit(status)


def _one_ended(running: set[int]) -> int:
    pid, status = os.wait()
    running.discard(pid)
    return status


def _at_once(node: Node) -> int:
    return max(1, _number(node, "VE_PARALLEL", str(4 * (os.cpu_count() or 1))))


def _number(node: Node, name: str, default: str) -> int:
    text = node.setting(name) or default
    if not text.isdigit():
        raise ConfigError(node.etc / "vz.conf", name, f"{text!r} is not a number")
    return int(text)


def _mark(node: Node) -> Path:
    return node.run / "up"
