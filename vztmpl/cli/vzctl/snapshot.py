"""Make a snapshot of a container's files; it costs little and can be switched back to.

Layouts overlay and simfs need the container to be stopped. The memory of a running container is
not kept: a switch back is like a start after a power cut.

Example: vzctl snapshot 101 --name "before the upgrade"
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.ve.parameters import plain

ARGUMENTS = ""
OPTIONS = {
    "id=": "UUID  the snapshot's id; a new one unless given",
    "uuid=": "UUID  the same",
    "name=": "TEXT  for people",
    "description=": "TEXT  for people",
    "skip-suspend": "accepted: memory is never kept",
    "skip-config": "do not keep the configuration with it",
}


def run(call: Call) -> None:
    """Take the snapshot."""
    from vztmpl.ve import snapshot

    given = call.value("id") or call.value("uuid")
    uuid = snapshot.take(
        call.node,
        call.ctid,
        snapshot.parse_uuid(given) if given else "",
        name=plain(call.value("name")),
        description=plain(call.value("description")),
        with_conf=not call.has("skip-config"),
    )
    call.say(f"Snapshot {{{uuid}}} has been successfully created")


def wanted(call: Call) -> str:
    """Return the snapshot that a call names."""
    from vztmpl.errors import VEError
    from vztmpl.ve import codes, snapshot

    given = call.value("id") or call.value("uuid")
    if not given:
        raise VEError(
            "no snapshot named",
            vz_code=codes.INVALID_PARAMETER_SYNTAX,
            hint=f"add --id UUID; `vzctl snapshot-list {call.ctid}` shows those there are",
        )
    return snapshot.parse_uuid(given)


ID_OPTIONS = {"id=": "UUID  the snapshot", "uuid=": "UUID  the same"}
