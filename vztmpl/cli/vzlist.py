"""vzlist: OpenVZ's listing of containers, its columns, its JSON and its exit codes."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from vztmpl.cli.errors import guarded
from vztmpl.errors import VEError, VztmplError
from vztmpl.settings import Node, load
from vztmpl.ve import config as configuration
from vztmpl.ve import resources, units
from vztmpl.ve.cgroup import Group, Hierarchies, host_hierarchies, parent_name
from vztmpl.ve.config import VEConfig
from vztmpl.ve.resources import Reading
from vztmpl.ve.status import Status, status

_HELP = """Usage: vzlist [-a | -S] [-n] [-H] [-t] [-j] [-o FIELD[,FIELD...] | -1] [-s [-]FIELD]
              [-h PATTERN] [-N PATTERN] [-d PATTERN] [CTID | NAME ...]
       vzlist -L | --help

List containers: those that run, or all of them with -a.

  -a, --all             those too that do not run
  -S, --stopped         only those that do not run
  -n, --name            names in place of CTIDs
  -H, --no-header       no header line
  -t, --no-trim         all items of lists that do not fit their column
  -j, --json            as JSON
  -o, --output FIELDS   these columns (vzlist -L shows all); -1 is -H -o ctid
  -s, --sort [-]FIELD   sorted by a column, the other way round with -
  -h, -N, -d PATTERN    only those whose host name, name, description matches (shell pattern)

Example: vzlist -a -o ctid,status,physpages,physpages.l,hostname

Exit codes: 0 done (also when there is nothing to list), 1 a named container is not there
"""
_SHORT = "aSnHtjo:1s:h:N:d:L"
_LONG = [
    "all", "stopped", "name", "no-header", "no-trim", "json", "output=", "sort=",
    "hostname=", "name_filter=", "description=", "list", "help",
]  # fmt: skip
_SAME = {
    "--all": "-a", "--stopped": "-S", "--name": "-n", "--no-header": "-H", "--no-trim": "-t",
    "--json": "-j", "--output": "-o", "--sort": "-s", "--hostname": "-h", "--name_filter": "-N",
    "--description": "-d", "--list": "-L",
}  # fmt: skip
_DEFAULT = "ctid,numproc,status,ip,hostname"
_BEANCOUNTERS = {"numproc": "NPROC", "physpages": "PHYSP", "swappages": "SWAPP"}
_SUFFIXES = {"m": "maxheld", "b": "barrier", "l": "limit", "f": "failcnt"}

Value = str | int | float | bool | None | list[str] | dict[str, int | None]


class _Row(NamedTuple):
    """What is known of one VE."""

    config: VEConfig
    status: Status
    group: Group

    def counter(self, parameter: str) -> dict[str, int | None]:
        barrier, limit = self.config.beancounters.get(parameter, (units.UNLIMITED,) * 2)
        read = (
            resources.reading(self.group, parameter)
            if self.status.running
            else Reading(None, None, None)
        )
        return {
            "held": read.held,
            "maxheld": read.maxheld,
            "barrier": barrier,
            "limit": limit,
            "failcnt": read.failcnt,
        }


class _Field(NamedTuple):
    header: str
    width: int
    """Columns; negative: to the left."""
    value: Callable[[_Row], Value]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one vzlist command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _main(words), lambda _: 1)


def _main(words: list[str]) -> int:
    from getopt import GetoptError, gnu_getopt

    try:
        pairs, named = gnu_getopt(words, _SHORT, _LONG)
    except GetoptError as error:
        raise VztmplError(str(error), hint="vzlist --help") from error
    options = {_SAME.get(name, name): value for name, value in pairs}
    if "--help" in options:
        sys.stdout.write(_HELP)
        return 0
    if "-L" in options:
        lines = [f"{name:<15}{field.header}" for name, field in FIELDS.items()]
        sys.stdout.write("\n".join(lines) + "\n")
        return 0
    return _list(options, named)


def _list(options: Mapping[str, str], named: Sequence[str]) -> int:
    node = load()
    fields = _wanted_fields(options)
    ctids = [configuration.find(node, name) for name in named]
    rows = [row for row in _rows(node, ctids) if _shown(row, options, bool(named))]
    _sort(rows, options.get("-s", "ctid"))
    missing = [ctid for ctid in ctids if ctid not in {row.config.ctid for row in rows}]
    if not rows and "-j" not in options:
        sys.stderr.write("Container(s) not found\n")
    elif "-j" in options:
        sys.stdout.write(_json(rows, fields))
    else:
        header = "-H" not in options and "-1" not in options
        sys.stdout.write(_table(rows, fields, header=header, trim="-t" not in options))
    return 1 if missing else 0


def _wanted_fields(options: Mapping[str, str]) -> list[str]:
    default = ",".join(_JSON_FIELDS) if "-j" in options else _DEFAULT
    if "-n" in options:
        default = default.replace("ctid", "smart_name", 1)
    wanted = options.get("-o") or ("ctid" if "-1" in options else default)
    for name in (names := wanted.split(",")):
        if name not in FIELDS or ("-j" in options and "." in name):
            raise VztmplError(f"Unknown field: {name}", hint="`vzlist -L` lists the fields")
    return names


def _rows(node: Node, ctids: Sequence[int]) -> Iterable[_Row]:
    hierarchies: Hierarchies = host_hierarchies()
    for ctid in sorted(set(ctids)) or configuration.all_ctids(node):
        try:
            config = configuration.load_live(node, ctid)
        except VEError:
            continue  # no such VE, or a file that makes no sense: `vzctl` says why
        now = status(node, config)
        if now.exists:
            name = f"{parent_name(node.tag)}/{ctid}"
            yield _Row(config, now, Group(hierarchies, name))


def _shown(row: _Row, options: Mapping[str, str], named: bool) -> bool:
    from fnmatch import fnmatchcase

    if "-S" in options:
        wanted = not row.status.running
    else:
        wanted = row.status.running or "-a" in options or named
    patterns = (
        (options.get("-h"), row.config.hostname),
        (options.get("-N"), row.config.name),
        (options.get("-d"), row.config.description),
    )
    return wanted and all(not pattern or fnmatchcase(text, pattern) for pattern, text in patterns)


def _sort(rows: list[_Row], by: str) -> None:
    name = by.removeprefix("-")
    if name not in FIELDS:
        raise VztmplError(f"Unknown field: {name}", hint="`vzlist -L` lists the fields")
    value = FIELDS[name].value

    def key(row: _Row) -> tuple[bool, float, str]:
        found = value(row)
        number = float(found) if isinstance(found, int | float) else 0.0
        return found is None, number, str(found)

    rows.sort(key=key, reverse=by.startswith("-"))


def _table(rows: Sequence[_Row], names: Sequence[str], *, header: bool, trim: bool) -> str:
    fields = [FIELDS[name] for name in names]
    lines = [" ".join(_aligned(field.header, field.width) for field in fields)] if header else []
    for row in rows:
        cells = [
            _aligned(_text(field.value(row), trim and field is not fields[-1]), field.width)
            for field in fields
        ]
        lines.append(" ".join(cells))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _text(value: Value, first_only: bool) -> str:
    if isinstance(value, list):
        return (value[0] if first_only else " ".join(value)) if value else "-"
    if isinstance(value, dict):
        value = value["held"]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        minutes, seconds = divmod(int(value), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        return f"{days:03d}d{hours:02d}h:{minutes:02d}m:{seconds:02d}s"
    return "-" if value is None else str(value)


def _aligned(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def _json(rows: Sequence[_Row], names: Sequence[str]) -> str:
    listed = [{name: FIELDS[name].value(row) for name in names} for row in rows]
    return (json.dumps(listed, indent=2) if listed else "[]") + "\n"


def _uptime(row: _Row) -> float | None:
    """Return for how many seconds a VE's init runs."""
    import os
    from pathlib import Path

    if row.status.boot is None:
        return None
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    return since_boot - row.status.boot.start_time / os.sysconf("SC_CLK_TCK")


def _state(row: _Row) -> str:
    if row.status.running:
        return "running"
    return "mounted" if row.status.mounted else "stopped"


def _suffixed(parameter: str, key: str) -> Callable[[_Row], Value]:
    return lambda row: row.counter(parameter)[key]


def _counter(parameter: str) -> Callable[[_Row], Value]:
    return lambda row: row.counter(parameter)


FIELDS: dict[str, _Field] = {
    "ctid": _Field("CTID", 10, lambda row: row.config.ctid),
    "veid": _Field("CTID", 10, lambda row: row.config.ctid),
    "vpsid": _Field("CTID", 10, lambda row: row.config.ctid),
    "smart_name": _Field("SMARTNAME", 10, lambda row: row.config.name or str(row.config.ctid)),
    "private": _Field("PRIVATE", -32, lambda row: str(row.config.private)),
    "root": _Field("ROOT", -32, lambda row: str(row.config.root)),
    "hostname": _Field("HOSTNAME", -32, lambda row: row.config.hostname or None),
    "name": _Field("NAME", -32, lambda row: row.config.name or None),
    "description": _Field("DESCRIPTION", -32, lambda row: row.config.description or None),
    "ostemplate": _Field("OSTEMPLATE", -32, lambda row: row.config.ostemplate or None),
    "ip": _Field("IP_ADDR", -15, lambda row: list(row.config.addresses)),
    "nameserver": _Field("NAMESERVER", -15, lambda row: list(row.config.nameservers)),
    "searchdomain": _Field("SEARCHDOMAIN", -15, lambda row: list(row.config.search_domains)),
    "status": _Field("STATUS", -9, _state),
    "uptime": _Field("UPTIME", 15, _uptime),
    "cpuunits": _Field("CPUUNI", 7, lambda row: row.config.cpuunits),
    "cpulimit": _Field("CPULIM", 7, lambda row: row.config.cpulimit),
    "onboot": _Field("ONBOOT", 6, lambda row: {"yes": True, "no": False}.get(row.config.onboot)),
    "disabled": _Field("DISABL", 6, lambda row: row.config.disabled),
    "layout": _Field("LAYOUT", 6, lambda _: "overlay"),
}
for _name, _header in _BEANCOUNTERS.items():
    FIELDS[_name] = _Field(_header, 10, _counter(_name))
    for _suffix, _key in _SUFFIXES.items():
        FIELDS[f"{_name}.{_suffix}"] = _Field(
            f"{_header}.{_suffix.upper()}", 10, _suffixed(_name, _key)
        )
_JSON_FIELDS = [name for name in FIELDS if "." not in name and name not in ("veid", "vpsid")]
