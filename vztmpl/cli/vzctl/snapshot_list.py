"""List a container's snapshots; a * marks the one that its present files began as.

-H leaves the header out, -o chooses columns: uuid, parent_uuid, current, date, name, desc, device,
target. -L lists the columns.

Example: vzctl snapshot-list 101 -H -o uuid,name
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

from vztmpl.cli.vzctl.call import Call
from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.snapshot import Snapshot

ARGUMENTS = "[-H] [-o FIELD,…] [-L]"
OPTIONS: dict[str, str] = {}


class _Field(NamedTuple):
    header: str
    width: int
    value: Callable[[Snapshot], str]


_FIELDS = {
    "parent_uuid": _Field("PARENT_UUID", 38, lambda one: _braced(one.parent)),
    "current": _Field("C", 1, lambda one: "*" if one.current else ""),
    "uuid": _Field("UUID", 38, lambda one: _braced(one.uuid)),
    "date": _Field("DATE", 19, lambda one: one.date[:19]),
    "name": _Field("NAME", 32, lambda one: one.name),
    "desc": _Field("DESC", 32, lambda one: one.description),
    "device": _Field("DEVICE", 16, lambda one: one.device),
    "target": _Field("TARGET", 32, lambda one: one.target),
}
_SAME = {"id": "uuid", "parent_id": "parent_uuid"}
_DEFAULT = "parent_uuid,current,uuid,date,name"


def run(call: Call) -> None:
    """Print the list."""
    from getopt import GetoptError, gnu_getopt

    try:
        pairs, rest = gnu_getopt(
            list(call.arguments), "Ho:L", ["no-header", "output=", "id=", "uuid=", "list"]
        )
    except GetoptError as error:
        raise VEError(str(error), vz_code=codes.INVALID_PARAMETER_SYNTAX) from error
    if rest:
        raise VEError(f"unexpected argument {rest[0]!r}", vz_code=codes.INVALID_PARAMETER_SYNTAX)
    options = dict(pairs)
    if options.keys() & {"-L", "--list"}:
        lines = [f"{name:<15}{field.header}" for name, field in _FIELDS.items()]
    else:
        fields = _chosen(options.get("-o") or options.get("--output") or _DEFAULT)
        rows = [[field.value(one) for field in fields] for one in _asked(call, options)]
        if not options.keys() & {"-H", "--no-header"}:
            rows.insert(0, [field.header for field in fields])
        lines = [_line(fields, row) for row in rows]
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _asked(call: Call, options: dict[str, str]) -> list[Snapshot]:
    from vztmpl.ve import snapshot
    from vztmpl.ve.config import load
    from vztmpl.ve.lifecycle import require_private

    config = load(call.node, call.ctid)
    require_private(config)
    given = options.get("--id") or options.get("--uuid")
    wanted = snapshot.parse_uuid(given) if given else ""
    return [one for one in snapshot.listed(config) if wanted in ("", one.uuid)]


def _chosen(names: str) -> list[_Field]:
    chosen = [_SAME.get(name, name) for name in names.split(",")]
    for name in chosen:
        if name not in _FIELDS:
            raise VEError(
                f"Unknown field: {name}",
                vz_code=codes.INVALID_PARAMETER_VALUE,
                hint="vzctl snapshot-list CTID -L",
            )
    return [_FIELDS[name] for name in chosen]


def _line(fields: list[_Field], row: list[str]) -> str:
    cells = (f"{cell:<{field.width}}" for field, cell in zip(fields, row, strict=True))
    return " ".join(cells).rstrip()


def _braced(uuid: str) -> str:
    return f"{{{uuid}}}" if uuid else ""
