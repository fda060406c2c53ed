"""Limits of a VE as cgroup files, and what they are held against. docs/resources.md has the table.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/*.rst of the kernel; the mapping
follows vzctl's upstream backend (v1) and libvzctl (v2).
"""

import errno
from pathlib import Path
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.cgroup import Group
from vztmpl.ve.config import VEConfig
from vztmpl.ve.units import PAGE_BYTES, UNLIMITED

_CPU_PERIOD_US = 100_000
_V2_WEIGHTS = (1, 10_000)
_V1_SHARES = (2, 262_144)


class Setting(NamedTuple):
    """One file of one controller, and what is written into it."""

    controller: str
    file: str
    value: str
    parameter: str
    """What the user calls it."""


class Reading(NamedTuple):
    """What a VE uses of a parameter; None where this kernel does not say."""

    held: int | None
    maxheld: int | None
    """The most since the VE started."""
    failcnt: int | None
    """How often more was asked for than the limit allows."""


class _Files(NamedTuple):
    controller: str
    held: str
    maxheld: str
    failcnt: str
    event: str
    """The line of the failcnt file that counts; empty when it holds one number."""


def settings(config: VEConfig, *, unified: bool) -> list[Setting]:
    """Return all limits of a VE, in the order in which they have to be written."""
    return _settings_v2(config) if unified else _settings_v1(config)


def apply(group: Group, config: VEConfig) -> None:
    """Put a VE's limits in force; VEError naming the parameter that the kernel refused."""
    for setting in settings(config, unified=group.hierarchies.unified):
        path = group.folder(setting.controller) / setting.file
        try:
            path.write_text(setting.value)
        except OSError as error:
            raise _refused(setting, path, error) from error


def reading(group: Group, parameter: str) -> Reading:
    """Return what the kernel counts for ``numproc``, ``physpages`` or ``swappages``."""
    unified = group.hierarchies.unified
    if parameter == "numproc":
        files = _Files("pids", "pids.current", "pids.peak", "pids.events", "max")
        return _read(group, files)
    if parameter == "physpages":
        events = ("memory.events", "max") if unified else ("memory.failcnt", "")
        peak = "memory.peak" if unified else "memory.max_usage_in_bytes"
        now = "memory.current" if unified else "memory.usage_in_bytes"
        return _pages(_read(group, _Files("memory", now, peak, *events)))
    if unified:
        files = _Files(
            "memory", "memory.swap.current", "memory.swap.peak", "memory.swap.events", "fail"
        )
        return _pages(_read(group, files))
    files = _Files("memory", "memory.memsw.usage_in_bytes", "", "memory.memsw.failcnt", "")
    both, memory = _read(group, files), _number(group, "memory", "memory.usage_in_bytes")
    swap = max(0, (both.held or 0) - (memory or 0))
    return _pages(both._replace(held=None if both.held is None else swap))


def _settings_v2(config: VEConfig) -> list[Setting]:
    memory, swap = _limit(config, "physpages"), _limit(config, "swappages")
    quota = "max" if not config.cpulimit else str(config.cpulimit * _CPU_PERIOD_US // 100)
    return [
        Setting("memory", "memory.max", _or_max(_bytes(memory)), "physpages"),
        Setting("memory", "memory.swap.max", _or_max(_bytes(swap)), "swappages"),
        Setting("pids", "pids.max", _or_max(_limit(config, "numproc")), "numproc"),
        Setting("cpu", "cpu.weight", _within(config.cpuunits // 10, _V2_WEIGHTS), "cpuunits"),
        Setting("cpu", "cpu.max", f"{quota} {_CPU_PERIOD_US}", "cpulimit"),
    ]


def _settings_v1(config: VEConfig) -> list[Setting]:
    memory, swap = _bytes(_limit(config, "physpages")), _bytes(_limit(config, "swappages"))
    both = UNLIMITED if UNLIMITED in (memory, swap) else min(memory + swap, UNLIMITED)
    quota = config.cpulimit * _CPU_PERIOD_US // 100 if config.cpulimit else -1
    return [
        # memsw may never be below the limit, so it is lifted while the limit moves
        Setting("memory", "memory.memsw.limit_in_bytes", "-1", "swappages"),
        Setting("memory", "memory.limit_in_bytes", _or_minus_one(memory), "physpages"),
        Setting("memory", "memory.memsw.limit_in_bytes", _or_minus_one(both), "swappages"),
        Setting("pids", "pids.max", _or_max(_limit(config, "numproc")), "numproc"),
        Setting("cpu", "cpu.shares", _within(config.cpuunits, _V1_SHARES), "cpuunits"),
        Setting("cpu", "cpu.cfs_period_us", str(_CPU_PERIOD_US), "cpulimit"),
        Setting("cpu", "cpu.cfs_quota_us", str(quota), "cpulimit"),
    ]


def _limit(config: VEConfig, parameter: str) -> int:
    return config.beancounters.get(parameter, (UNLIMITED, UNLIMITED))[1]


def _bytes(pages: int) -> int:
    return UNLIMITED if pages >= UNLIMITED // PAGE_BYTES else pages * PAGE_BYTES


def _or_max(number: int) -> str:
    return "max" if number == UNLIMITED else str(number)


def _or_minus_one(number: int) -> str:
    return "-1" if number == UNLIMITED else str(number)


def _within(number: int, bounds: tuple[int, int]) -> str:
    return str(min(max(number, bounds[0]), bounds[1]))


def _read(group: Group, files: _Files) -> Reading:
    return Reading(
        held=_number(group, files.controller, files.held),
        maxheld=_number(group, files.controller, files.maxheld),
        failcnt=_number(group, files.controller, files.failcnt, files.event),
    )


def _pages(read: Reading) -> Reading:
    return read._replace(
        held=None if read.held is None else read.held // PAGE_BYTES,
        maxheld=None if read.maxheld is None else read.maxheld // PAGE_BYTES,
    )


def _number(group: Group, controller: str, file: str, key: str = "") -> int | None:
    """Read a number from a file, or from its line that begins with ``key``."""
    try:
        text = (group.folder(controller) / file).read_text()
        if key:
            text = dict(line.split() for line in text.splitlines())[key]
        return int(text)
    except (OSError, KeyError, ValueError):
        return None


def _refused(setting: Setting, path: Path, error: OSError) -> VEError:
    if error.errno == errno.EBUSY:
        problem, hint = "more is in use and can't be freed", "stop something in the VE first"
    elif error.errno == errno.ENOENT:
        problem, hint = f"this host has no {path}", "`vztmpl doctor` says how to get the controller"
    else:
        problem, hint = f"{path}: {error.strerror}", ""
    return VEError(
        f"can't set {setting.parameter} to {setting.value}: {problem}",
        vz_code=codes.SETUBC_ERROR,
        hint=hint,
    )
