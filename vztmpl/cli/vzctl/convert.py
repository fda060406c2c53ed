"""Put a stopped container's files into another layout, or into the same one anew.

The old files are removed when the new ones are complete. Names after `ploop:` are OpenVZ's and all
mean a raw image.

Example: vzctl convert 101 --layout ploop
"""

from vztmpl.cli.vzctl.call import Call
from vztmpl.ve import disk

ARGUMENTS = ""
OPTIONS = {"layout=": "NAME  overlay, simfs, btrfs or ploop; ploop unless given"}


def run(call: Call) -> None:
    """Convert the VE."""
    from vztmpl.ve import rebuild

    layout = disk.layout(call.value("layout") or "ploop")
    call.say(f"Converting container to layout {layout}")
    rebuild.convert(call.node, call.ctid, layout, call.warn)
    call.say("Container was converted")
