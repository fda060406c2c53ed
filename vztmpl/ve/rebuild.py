"""The files of a VE put anew: in another layout, from a template again, without what is unused.

The VE is stopped. Its present state is replaced in one step, when the new one is complete.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.files import locked, new_folder
from vztmpl.settings import Node
from vztmpl.ve import area, codes, resources, snapshot
from vztmpl.ve import config as configuration
from vztmpl.ve.config import VEConfig
from vztmpl.ve.layout import found, named
from vztmpl.ve.lifecycle import lock_path, require_private
from vztmpl.ve.resources import Warn
from vztmpl.ve.status import status


def convert(node: Node, ctid: int, layout: str, warn: Warn) -> None:
    """Put a VE's files into another layout, or into the same one anew."""
    with _stopped(node, ctid) as config:
        live = area.live_of(config)
        if snapshot.listed(config):
            raise VEError(
                "a container with snapshots can't be converted",
                vz_code=codes.CONVERT_IMAGE_ERROR,
                hint=f"`vzctl snapshot-list {ctid}` and `vzctl snapshot-delete`",
            )
        with named(found(live)).tree(node, config, live) as tree, area.new_live(config) as fresh:
            named(layout).fill(node, config, fresh, tree)
        configuration.save(node, ctid, {"VE_LAYOUT": layout})
        resources.tell(area.not_enforced(config), warn)


def reinstall(node: Node, ctid: int, base: Path, template: str, *, keep: bool) -> str:
    """Give a VE the files of a template again; return the snapshot that keeps the old ones."""
    with _stopped(node, ctid) as config:
        layout = named(found(area.live_of(config)))
        uuid = ""
        if keep:
            uuid = str(uuid4())
            conf = shellvars.read_text(configuration.conf_path(node, ctid))
            about = snapshot.about_now(config, "reinstall", f"before reinstall of {template}")
            folder = config.private / "snapshots" / uuid
            with new_folder(folder) as fresh:
                layout.fill(node, config, fresh, base)
            snapshot.keep_live(config, about, conf, folder)
        else:
            with area.new_live(config) as fresh:
                layout.fill(node, config, fresh, base)
        configuration.save(node, ctid, {"OSTEMPLATE": template})
        return uuid


def compact(node: Node, ctid: int) -> None:
    """Give back to the host what a VE does not use any more."""
    with _stopped(node, ctid) as config:
        live = area.live_of(config)
        named(found(live)).compact(node, config, live)
        snapshot.tidy(config)


@contextmanager
def _stopped(node: Node, ctid: int) -> Iterator[VEConfig]:
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        require_private(config)
        now = status(node, config)
        if now.running or now.mounted:
            raise VEError(
                "the container has to be stopped and unmounted for this",
                vz_code=codes.VE_RUNNING,
                hint=f"vzctl stop {ctid}",
            )
        snapshot.tidy(config)
        yield config
