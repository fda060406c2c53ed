"""Bounds that the kernel keeps per process or per user: locked memory, open files, queued signals.

Sources: setrlimit(2), ``kernel/ucount.c``. Without CAP_SYS_RESOURCE nobody can give a VE more than
he has himself, so every limit then stays within our own.
"""

import os
import resource
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vztmpl import kernel
from vztmpl.ve import beancounters
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.inside import in_child
from vztmpl.ve.units import UNLIMITED, Pair, bytes_of

_KINDS = {"lockedpages": resource.RLIMIT_MEMLOCK, "numfile": resource.RLIMIT_NOFILE}
_WORDS = {resource.RLIMIT_MEMLOCK: "RLIMIT_MEMLOCK", resource.RLIMIT_NOFILE: "RLIMIT_NOFILE"}
_TITLES = {
    "Max locked memory": resource.RLIMIT_MEMLOCK,
    "Max open files": resource.RLIMIT_NOFILE,
}
_USUAL_FILES = (1024, 1 << 20)


def for_spec(given: Mapping[str, Pair]) -> list[dict[str, str | int]]:
    """Return the limits that init starts with, in the words of the OCI runtime."""
    found: list[dict[str, str | int]] = []
    for name, kind in _KINDS.items():
        if name in given or kind == resource.RLIMIT_NOFILE:
            soft, hard = _limits(given, name, kind)
            found.append({"type": _WORDS[kind], "soft": soft, "hard": hard})
    return found


def change(pids: Iterable[int], config: VEConfig, names: Iterable[str]) -> None:
    """Give the processes of a running VE new limits."""
    wanted = {
        _KINDS[name]: _limits(config.beancounters, name, _KINDS[name]) for name in sorted(names)
    }

    def set_limits() -> None:
        for pid in pids:
            for kind, limits in wanted.items():
                _set_limit(pid, kind, limits, config.first_id)

    in_child(set_limits, f"can't change {', '.join(sorted(names))} of processes that run")


def adopt(pid: int) -> None:
    """Take over the limits of a VE's init: what we start in the VE inherits ours."""
    # prlimit(2) would need CAP_SYS_RESOURCE over the VE's users
    text = Path(f"/proc/{pid}/limits").read_text()
    for title, kind in _TITLES.items():
        words = text.partition(title)[2].split()[:2]
        soft, hard = (
            resource.RLIM_INFINITY if word == "unlimited" else int(word) for word in words
        )
        try:
            resource.setrlimit(kind, (soft, hard))
        except ValueError:  # we have less than whoever started the VE, and keep it
            continue


def short_of(given: Mapping[str, Pair]) -> dict[str, str]:
    """Return the parameters of which this host has less to give than is asked, and why."""
    found = {}
    for name, kind in _KINDS.items():
        if name in given and given[name][0] != UNLIMITED:
            hard, asked = _limits(given, name, kind)[1], _asked(given, name, kind)
            if hard < asked:
                found[name] = f"root's own hard limit is {hard} here, and more can't be given"
    return found


@contextmanager
def user_namespace(config: VEConfig) -> Iterator[str]:
    """Yield the path of a user namespace that holds all users of a VE to numsiginfo together.

    Empty when there is no such limit: the runtime then makes the namespace.
    """
    limit = beancounters.limit(config.beancounters, "numsiginfo")
    if limit == UNLIMITED:
        yield ""
        return
    kind = resource.RLIMIT_SIGPENDING
    bounded = _within(limit, resource.getrlimit(kind)[1])
    with kernel.user_namespace(config.first_id, IDS_PER_VE, {kind: bounded}) as descriptor:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"


def _set_limit(pid: int, kind: int, limits: tuple[int, int], owner: int) -> None:
    try:
        resource.prlimit(pid, kind, limits)
    except ProcessLookupError:
        return
    except PermissionError:  # without CAP_SYS_RESOURCE it takes the owner of the VE's users
        if os.geteuid() == owner:
            raise
        os.seteuid(owner)
        _set_limit(pid, kind, limits, owner)


def _limits(given: Mapping[str, Pair], name: str, kind: int) -> tuple[int, int]:
    own_soft, own_hard = resource.getrlimit(kind)
    if kind == resource.RLIMIT_NOFILE:
        own_soft = min(_USUAL_FILES[0], own_soft) if own_soft > 0 else _USUAL_FILES[0]
        own_hard = own_hard if own_hard > 0 else _USUAL_FILES[1]
    if name not in given:
        return own_soft, own_hard
    hard = _within(_asked(given, name, kind), own_hard)
    return (hard if kind == resource.RLIMIT_MEMLOCK else min(own_soft, hard)), hard


def _asked(given: Mapping[str, Pair], name: str, kind: int) -> int:
    barrier = beancounters.barrier(given, name)
    return bytes_of(barrier) if kind == resource.RLIMIT_MEMLOCK else barrier


def _within(limit: int, own_hard: int) -> int:
    if own_hard == resource.RLIM_INFINITY or (limit != UNLIMITED and kernel.may_raise_limits()):
        return limit
    return min(limit, own_hard)
