"""Show a container's beancounters, in the format of /proc/user_beancounters.

With --resources in that of /proc/bc/CTID/resources, which has swappages. `vzubc` shows them for
people.

Example: vzctl ubc 101
"""

import sys

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
OPTIONS = {"resources": "the 21 rows of /proc/bc/CTID/resources"}


def run(call: Call) -> None:
    """Write the beancounters to stdout."""
    from vztmpl.ve import config, readings, ubc

    loaded = config.load_live(call.node, call.ctid)
    found = ubc.rows(loaded, readings.place(call.node, call.ctid))
    write = ubc.resources if call.has("resources") else ubc.user_beancounters
    sys.stdout.write(write([(call.ctid, found)]))
