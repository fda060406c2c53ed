"""Give back to the host the room that a stopped container does not use any more.

An image gets holes where nothing is, layers of deleted snapshots are joined.

Example: vzctl compact 101
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Compact the VE."""
    from vztmpl.ve import rebuild

    rebuild.compact(call.node, call.ctid)
    call.say("Container was compacted")
