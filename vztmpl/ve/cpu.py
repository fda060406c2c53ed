"""A VE's share of the CPUs: weight, quota, and which CPUs and memory nodes it may use.

Weights follow libvzctl (v2: units / 10) and vzctl's upstream backend (v1: shares = units). Lists
of CPUs are written as in cpuset(7): ``0-3,6``.
"""

from collections.abc import Iterable
from pathlib import Path

from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.cgroup import Setting
from vztmpl.ve.config import VEConfig

_PERIOD_US = 100_000
_V2_WEIGHTS = (1, 10_000)
_V1_SHARES = (2, 262_144)
SYSTEM = Path("/sys/devices/system")


def weight(cpuunits: int, *, unified: bool) -> list[Setting]:
    """Return the weight against other VEs."""
    if unified:
        return [Setting("cpu", "cpu.weight", _within(cpuunits // 10, _V2_WEIGHTS), "cpuunits")]
    return [Setting("cpu", "cpu.shares", _within(cpuunits, _V1_SHARES), "cpuunits")]


def quota(config: VEConfig, *, unified: bool) -> list[Setting]:
    """Return the bound of CPU time, from cpulimit and cpus, whichever is less."""
    percents = [each for each in (config.cpulimit, config.cpus * 100) if each]
    name = "cpulimit" if config.cpulimit else "cpus"
    time_us = str(min(percents) * _PERIOD_US // 100) if percents else ""
    if unified:
        return [Setting("cpu", "cpu.max", f"{time_us or 'max'} {_PERIOD_US}", name)]
    return [
        Setting("cpu", "cpu.cfs_period_us", str(_PERIOD_US), name),
        Setting("cpu", "cpu.cfs_quota_us", time_us or "-1", name),
    ]


def own(config: VEConfig) -> tuple[int, str, str]:
    """Return the settings that say which CPUs and nodes a VE may use."""
    return config.cpus, config.cpumask, config.nodemask


def own_set(config: VEConfig, system: Path = SYSTEM) -> list[Setting]:
    """Return which CPUs and memory nodes a VE may use."""
    cpus = write_list(usable(config, system))
    nodes = write_list(_nodes(config, system))
    name = "cpumask" if config.cpumask else "cpus"
    return [
        Setting("cpuset", "cpuset.cpus", cpus, name),
        Setting("cpuset", "cpuset.mems", nodes, "nodemask"),
    ]


def usable(config: VEConfig, system: Path = SYSTEM) -> list[int]:
    """Return the CPUs of a VE. With ``cpus`` alone, VEs begin at different ones."""
    online = read_list((system / "cpu/online").read_text())
    if config.cpumask == "auto":
        nodes = _nodes(config, system)
        allowed = [
            cpu
            for node in nodes
            for cpu in read_list((system / f"node/node{node}/cpulist").read_text())
        ]
    elif config.cpumask in ("", "all"):
        allowed = online
    else:
        allowed = read_list(config.cpumask)
    if not 0 < config.cpus < len(allowed):
        return sorted(allowed)
    first = config.ctid * config.cpus
    return sorted(allowed[(first + step) % len(allowed)] for step in range(config.cpus))


def check(config: VEConfig, system: Path = SYSTEM) -> None:
    """Refuse masks that make no sense together or name what this host does not have."""
    if config.nodemask and not config.cpumask:
        raise _wrong("nodemask needs cpumask", "add --cpumask auto")
    if config.cpumask == "auto" and not config.nodemask:
        raise _wrong("cpumask auto needs nodemask", "add --nodemask LIST")
    for kind, mask in (("cpu", config.cpumask), ("node", config.nodemask)):
        if mask not in ("", "all", "auto"):
            online = (system / f"{kind}/online").read_text().strip()
            if not read_list(mask):
                raise _wrong(f"{mask!r} names no {kind}", f"this host has {online}")
            if missing := set(read_list(mask)) - set(read_list(online)):
                text = write_list(sorted(missing))
                raise _wrong(f"this host has no {kind} {text}", f"it has {online}")


def read_list(text: str) -> list[int]:
    """Read ``0-3,6``."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            found += range(int(first), int(last or first) + 1)
    return found


def write_list(numbers: Iterable[int]) -> str:
    """Write sorted numbers as ``0-3,6``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _nodes(config: VEConfig, system: Path) -> list[int]:
    if config.nodemask not in ("", "all"):
        return read_list(config.nodemask)
    try:
        return read_list((system / "node/online").read_text())
    except FileNotFoundError:  # a kernel without NUMA
        return [0]


def _within(number: int, bounds: tuple[int, int]) -> str:
    return str(min(max(number, bounds[0]), bounds[1]))


def _wrong(problem: str, hint: str) -> VEError:
    return VEError(problem, vz_code=codes.INVALID_PARAMETER_VALUE, hint=hint)
