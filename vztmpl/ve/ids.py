"""Ranges of user and group ids: each VE has one of its own, and no two overlap.

``<state>/ids/<block>`` is a link whose target is the CTID that holds the block.
"""

from vztmpl.errors import VEError
from vztmpl.files import locked
from vztmpl.settings import FIRST_LOCAL_ID, Node
from vztmpl.ve import codes
from vztmpl.ve.config import IDS_PER_VE, VEConfig

_BLOCKS = 20000  # FIRST_LOCAL_ID + all of them stays below 0x6FFFFFFF, where containers' ids end


def allocate_ids(node: Node, ctid: int) -> int:
    """Give a VE a range of host ids that no other VE of this node has; return its first."""
    folder = node.state / "ids"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(node.locks / "ids.lck", wait=True):
        for step in range(_BLOCKS):
            block = (ctid + step) % _BLOCKS
            link = folder / str(block)
            if not link.is_symlink() or str(link.readlink()) == str(ctid):
                link.unlink(missing_ok=True)
                link.symlink_to(str(ctid))
                return FIRST_LOCAL_ID + block * IDS_PER_VE
    raise VEError("all ranges of user ids are taken", vz_code=codes.RESOURCE_ERROR)


def free_ids(node: Node, config: VEConfig) -> None:
    """Give a VE's range back."""
    block = (config.first_id - FIRST_LOCAL_ID) // IDS_PER_VE
    link = node.state / "ids" / str(block)
    if link.is_symlink() and str(link.readlink()) == str(config.ctid):
        link.unlink()
