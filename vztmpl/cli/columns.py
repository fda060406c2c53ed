"""The columns of vzlist: OpenVZ's names, headers and widths, and where each value comes from.

Source: vzctl's ``src/vzlist.c``. A value is None where it is not set, or not known: ``-`` in the
table, null in JSON.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import beancounters
from vztmpl.ve.cgroup import Group, Hierarchies, parent_name
from vztmpl.ve.config import VEConfig, conf_path
from vztmpl.ve.readings import Place, Reading, reading
from vztmpl.ve.status import Status, run_folder
from vztmpl.ve.units import Pair

Value = str | int | float | bool | None | list[str] | Mapping[str, int | None]


class Row(NamedTuple):
    """One VE."""

    config: VEConfig
    status: Status
    node: Node
    hierarchies: Hierarchies

    def bounds(self, name: str) -> Pair:
        """Return barrier and limit of a beancounter."""
        return beancounters.bounds(self.config.beancounters, name, self.config.vm_overcommit)

    def read(self, name: str) -> Reading:
        """Return what the kernel counts of a beancounter."""
        if self.status.boot is None:
            return Reading()
        ctid = self.config.ctid
        group = Group(self.hierarchies, f"{parent_name(self.node.tag)}/{ctid}")
        return reading(Place(group, self.status.boot.pid, run_folder(self.node, ctid)), name)


class Field(NamedTuple):
    """One column."""

    header: str
    width: int
    """Negative: to the left."""
    value: Callable[[Row], Value]
    text: Callable[[Value], str] = str
    """How a value that is there is written in the table."""


def _uptime(row: Row) -> float | None:
    """Return for how many seconds a VE's init runs."""
    if row.status.boot is None:
        return None
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    return since_boot - row.status.boot.start_time / os.sysconf("SC_CLK_TCK")


def _days(value: Value) -> str:
    assert isinstance(value, float)  # noqa: S101 - what _uptime returns
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days:03d}d{hours:02d}h:{minutes:02d}m:{seconds:02d}s"


def _state(row: Row) -> str:
    if row.status.running:
        return "running"
    return "mounted" if row.status.mounted else "stopped"


def _variable(name: str) -> Callable[[Row], Value]:
    """Read a variable of the conf that nothing else here needs."""

    def value(row: Row) -> Value:
        given = _variables(conf_path(row.node, row.config.ctid))
        return given.get(name) or row.node.setting(name) or None

    return value


@lru_cache(maxsize=1)  # several columns of one row
def _variables(conf: Path) -> Mapping[str, str]:
    return shellvars.read(conf)


# Few listings ask for these, so what finds them out is imported for those only.


def _layout(row: Row) -> str | None:
    from vztmpl.ve import area

    try:
        return area.layout_of(row.config)
    except VEError:  # the area is damaged: vzctl says so
        return None


def _used(row: Row, name: str) -> int | None:
    from vztmpl.ve import area

    try:
        return getattr(area.usage(row.config), name)  # type: ignore[no-any-return]
    except VEError:  # likewise, or there is no area
        return None


def _disk(name: str) -> Callable[[Row], Value]:
    def value(row: Row) -> Value:
        soft, hard = getattr(row.config.disk, name) or (None, None)
        return {"usage": _used(row, name), "softlimit": soft, "hardlimit": hard}

    return value


def _disk_limit(name: str, index: int) -> Callable[[Row], Value]:
    return lambda row: (getattr(row.config.disk, name) or (None, None))[index]


def _counter(name: str) -> Callable[[Row], Value]:
    def value(row: Row) -> Value:
        read, (barrier, limit) = row.read(name), row.bounds(name)
        return {
            "held": read.held, "maxheld": read.maxheld,
            "barrier": barrier, "limit": limit,
            "failcnt": read.failcnt,
        }  # fmt: skip

    return value


def _bound(name: str, index: int) -> Callable[[Row], Value]:
    return lambda row: row.bounds(name)[index]


def _count(name: str, index: int) -> Callable[[Row], Value]:
    return lambda row: row.read(name)[index]


def _held(value: Value) -> str:
    assert isinstance(value, Mapping)  # noqa: S101 - what _counter and _disk return
    held = next(iter(value.values()))
    return "-" if held is None else str(held)


def _unknown(_row: Row) -> None:
    return None


FIELDS: dict[str, Field] = {
    "ctid": Field("CTID", 10, lambda row: row.config.ctid),
    "veid": Field("CTID", 10, lambda row: row.config.ctid),
    "vpsid": Field("CTID", 10, lambda row: row.config.ctid),
    "smart_name": Field("SMARTNAME", 10, lambda row: row.config.name or str(row.config.ctid)),
    "private": Field("PRIVATE", -32, lambda row: str(row.config.private)),
    "root": Field("ROOT", -32, lambda row: str(row.config.root)),
    "mount_opts": Field("MOUNT_OPTS", -16, _variable("MOUNT_OPTS")),
    "origin_sample": Field("ORIGIN_SAMPLE", -32, _variable("ORIGIN_SAMPLE")),
    "hostname": Field("HOSTNAME", -32, lambda row: row.config.hostname or None),
    "name": Field("NAME", -32, lambda row: row.config.name or None),
    "description": Field("DESCRIPTION", -32, lambda row: row.config.description or None),
    "ostemplate": Field("OSTEMPLATE", -32, lambda row: row.config.ostemplate or None),
    "ip": Field("IP_ADDR", -15, lambda row: list(row.config.addresses)),
    "nameserver": Field("NAMESERVER", -15, lambda row: list(row.config.nameservers)),
    "searchdomain": Field("SEARCHDOMAIN", -15, lambda row: list(row.config.search_domains)),
    "status": Field("STATUS", -9, _state),
    "laverage": Field("LAVERAGE", 14, _unknown),
    "uptime": Field("UPTIME", 15, _uptime, _days),
    "cpulimit": Field("CPULIM", 7, lambda row: row.config.cpulimit),
    "cpuunits": Field("CPUUNI", 7, lambda row: row.config.cpuunits),
    "cpus": Field("CPUS", 5, lambda row: row.config.cpus or None),
    "ioprio": Field("IOP", 3, lambda row: row.config.ioprio),
    "iolimit": Field("IOLIMIT", 10, lambda row: row.config.iolimit or None),
    "iopslimit": Field("IOPS", 4, lambda row: row.config.iopslimit or None),
    "onboot": Field("ONBOOT", 6, lambda row: {"yes": True, "no": False}.get(row.config.onboot)),
    "bootorder": Field("BOOTORDER", 10, lambda row: row.config.boot_order),
    "layout": Field("LAYOUT", 6, _layout),
    "features": Field("FEATURES", -15, _variable("FEATURES")),
    "vswap": Field("VSWAP", 5, lambda row: beancounters.has_vswap(row.config.beancounters)),
    "disabled": Field("DISABL", 6, lambda row: row.config.disabled),
    "vm_overcommit": Field("VM_OVC", 6, lambda row: row.config.vm_overcommit or None),
    "netfilter": Field("NETFILTER", -9, _variable("NETFILTER")),
    "capability": Field("CAPABILITY", -15, _variable("CAPABILITY")),
}
for _each in beancounters.TABLE:
    FIELDS |= {
        _each.name: Field(_each.column, 10, _counter(_each.name), _held),
        f"{_each.name}.m": Field(f"{_each.column}.M", 10, _count(_each.name, 1)),
        f"{_each.name}.b": Field(f"{_each.column}.B", 10, _bound(_each.name, 0)),
        f"{_each.name}.l": Field(f"{_each.column}.L", 10, _bound(_each.name, 1)),
        f"{_each.name}.f": Field(f"{_each.column}.F", 10, _count(_each.name, 2)),
    }
for _name, _own, _header in (
    ("diskspace", "space_kb", "DSPACE"),
    ("diskinodes", "inodes", "DINODES"),
):
    FIELDS[_name] = Field(_header, 10, _disk(_own), _held)
    for _index, _suffix in enumerate(("s", "h")):
        FIELDS[f"{_name}.{_suffix}"] = Field(
            f"{_header}.{_suffix.upper()}", 10, _disk_limit(_own, _index)
        )
JSON_FIELDS = [name for name in FIELDS if "." not in name and name not in ("veid", "vpsid")]
