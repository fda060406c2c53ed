"""Put a container's files and its configuration back to a snapshot.

What was changed since is lost unless another snapshot has it. A running container is stopped first,
and stays so.

Example: vzctl snapshot-switch 101 --id e8c7a1f0-5b7d-4a6e-9d0e-0f6b8c1d2e3f
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.cli.vzctl.snapshot import ID_OPTIONS, wanted

ARGUMENTS = ""
OPTIONS = {
    **ID_OPTIONS,
    "skip-resume": "accepted: there is no memory to resume",
    "skip-config": "leave the configuration as it is",
}


def run(call: Call) -> None:
    """Switch."""
    from vztmpl.ve import snapshot

    uuid = wanted(call)
    with_conf = not call.has("skip-config")
    if snapshot.switch(call.node, call.ctid, uuid, with_conf=with_conf):
        call.say("Container was stopped")
    call.say(f"Container has been switched to snapshot {{{uuid}}}")
