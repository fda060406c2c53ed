"""Building as a plain user: the command begins again as root of a user namespace of its own.

There the user is root over a range of subordinate ids (subuid(5)), and nothing else of a build
needs to know: mounts, owners and chroots are those of the namespace. What comes out is the same.
"""

import os
import shutil
import sys
from collections.abc import Sequence

from vztmpl.errors import VztmplError
from vztmpl.run import replace
from vztmpl.settings import Node

_CURE = (
    "be root; or apt-get install uidmap, have root run `usermod --add-subuids 100000-165535"
    " --add-subgids 100000-165535 USER`, and set VZ_SYSROOT to a folder of yours"
)


def become_root(node: Node) -> None:
    """Return when we are root; else begin this command again in a namespace where we are."""
    if os.geteuid() == 0:
        return
    if not shutil.which("newuidmap") or str(node.sysroot) == "/":
        raise VztmplError("only root can build here", hint=_CURE)
    replace(command(sys.argv), env=os.environ)


def command(argv: Sequence[str]) -> list[str]:
    """Return the command that runs ours as root of a user namespace."""
    return ["unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--", *argv]
