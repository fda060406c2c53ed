"""vzlist: OpenVZ's listing of containers, its columns, its JSON and its exit codes."""

import sys
from collections.abc import Iterable, Mapping, Sequence

from vztmpl.cli.columns import FIELDS, JSON_FIELDS, Field, Row, Value
from vztmpl.cli.errors import guarded
from vztmpl.errors import VEError, VztmplError
from vztmpl.settings import Node, load
from vztmpl.ve import config as configuration
from vztmpl.ve.cgroup import host_hierarchies
from vztmpl.ve.status import status

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
    default = ",".join(JSON_FIELDS) if "-j" in options else _DEFAULT
    if "-n" in options:
        default = default.replace("ctid", "smart_name", 1)
    wanted = options.get("-o") or ("ctid" if "-1" in options else default)
    for name in (names := wanted.split(",")):
        if name not in FIELDS or ("-j" in options and "." in name):
            raise VztmplError(f"Unknown field: {name}", hint="`vzlist -L` lists the fields")
    return names


def _rows(node: Node, ctids: Sequence[int]) -> Iterable[Row]:
    hierarchies = host_hierarchies()
    for ctid in sorted(set(ctids)) or configuration.all_ctids(node):
        try:
            config = configuration.load_live(node, ctid)
        except VEError:
            continue  # no such VE, or a file that makes no sense: `vzctl` says why
        now = status(node, config)
        if now.exists:
            yield Row(config, now, node, hierarchies)


def _shown(row: Row, options: Mapping[str, str], named: bool) -> bool:
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


def _sort(rows: list[Row], by: str) -> None:
    name = by.removeprefix("-")
    if name not in FIELDS:
        raise VztmplError(f"Unknown field: {name}", hint="`vzlist -L` lists the fields")
    value = FIELDS[name].value

    def key(row: Row) -> tuple[bool, float, str]:
        found = value(row)
        number = float(found) if isinstance(found, int | float) else 0.0
        return found is None, number, str(found)

    rows.sort(key=key, reverse=by.startswith("-"))


def _table(rows: Sequence[Row], names: Sequence[str], *, header: bool, trim: bool) -> str:
    fields = [FIELDS[name] for name in names]
    lines = [" ".join(_aligned(field.header, field.width) for field in fields)] if header else []
    for row in rows:
        cells = [
            _aligned(_text(field, field.value(row), trim and field is not fields[-1]), field.width)
            for field in fields
        ]
        lines.append(" ".join(cells))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _text(field: Field, value: Value, first_only: bool) -> str:
    if isinstance(value, list):
        return (value[0] if first_only else " ".join(value)) if value else "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else field.text(value)


def _aligned(text: str, width: int) -> str:
    return text.ljust(-width) if width < 0 else text.rjust(width)


def _json(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Write a value a line, as OpenVZ does; json's own indenting would take twice as long."""
    from json import JSONEncoder

    if not rows:
        return "[]\n"
    encode = JSONEncoder().encode
    objects = [
        ",\n".join(f'    "{name}": {encode(FIELDS[name].value(row))}' for name in names)
        for row in rows
    ]
    return "[\n" + ",\n".join(f"  {{\n{each}\n  }}" for each in objects) + "\n]\n"
