"""Snapshots of a VE's files, kept in its private area.

    snapshots/<uuid>/           what live was, and beside it:
      about.json                written last, or with one exchange: without it this is no snapshot
      ve.conf                   the configuration at that time

With a stacked layout what was live becomes the snapshot and a new live stands upon it; a snapshot
that others stand upon loses its about.json when it is deleted, and goes when nothing needs it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.files import locked, new_folder, remove_tree, sync_folder, write_text
from vztmpl.filesystem import exchange
from vztmpl.settings import Node
from vztmpl.ve import area, claims, codes
from vztmpl.ve import config as configuration
from vztmpl.ve.boot import shut_down, tear_down
from vztmpl.ve.config import VEConfig
from vztmpl.ve.layout import found, named
from vztmpl.ve.layout.overlay import lowers
from vztmpl.ve.lifecycle import lock_path, require_private
from vztmpl.ve.mounts import source_of

_UUID = re.compile(r"\{?([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.IGNORECASE)
_IDENTITY = ("LOCAL_UID", "LOCAL_GID", "VE_PRIVATE", "VE_ROOT", "NAME")


class Snapshot(NamedTuple):
    """One snapshot."""

    uuid: str
    parent: str
    """The snapshot that the VE's files had begun as; empty for none."""
    date: str
    """Local time, YYYY-MM-DD HH:MM:SS.micros."""
    name: str
    description: str
    current: bool
    """Whether the VE's present files began as this one."""
    target: str
    """Where it is mounted; empty when it is not."""
    device: str
    """What stands as the source of that mount."""


def parse_uuid(text: str) -> str:
    """Read a snapshot's name, with or without braces."""
    if not (match := _UUID.fullmatch(text)):
        raise VEError(
            f"{text!r} is not a snapshot id",
            vz_code=codes.INVALID_PARAMETER_VALUE,
            hint="`vzctl snapshot-list CTID -o uuid` shows those there are",
        )
    return match[1].lower()


def take(node: Node, ctid: int, uuid: str, *, name: str, description: str, with_conf: bool) -> str:
    """Make a snapshot of what is on a VE's disk; return its uuid, a new one unless given."""
    with _locked(node, ctid) as config:
        uuid = uuid or str(uuid4())
        folder = config.private / "snapshots" / uuid
        if folder.exists():
            raise VEError(f"snapshot {uuid} is there already", vz_code=codes.CREATE_SNAPSHOT_ERROR)
        conf = shellvars.read_text(configuration.conf_path(node, ctid)) if with_conf else ""
        _take(config, folder, about_now(config, name, description), conf)
        return uuid


def listed(config: VEConfig) -> list[Snapshot]:
    """Return a VE's snapshots, oldest first."""
    now = _parent(area.live_of(config))
    abouts = config.private.glob("snapshots/*/about.json")
    return sorted((_read(path.parent, now) for path in abouts), key=lambda one: one.date)


def switch(node: Node, ctid: int, uuid: str, *, with_conf: bool) -> bool:
    """Put a VE's files back to a snapshot; return whether the VE ran and was stopped for it."""
    with _locked(node, ctid) as config:
        folder = _existing(config, uuid)
        conf = configuration.conf_path(node, ctid)
        text = _restored_conf(folder, conf) if with_conf else None
        if text is not None:
            claims.check_addresses(node, configuration.parse(node, ctid, text, conf))
        ran = shut_down(node, config, fast=True)
        tear_down(node, config)
        with area.new_live(config) as live:
            named(found(folder)).branch(config, folder, live, uuid)
            (live / "snapshot").write_text(f"{uuid}\n")
        if text is not None:
            write_text(conf, text)
        tidy(config)
        return ran


def delete(node: Node, ctid: int, uuid: str) -> None:
    """Delete a snapshot; what the VE or other snapshots have is not touched."""
    with _locked(node, ctid) as config:
        folder = _existing(config, uuid)
        if place := area.snapshot_place(folder):
            raise VEError(
                f"snapshot {uuid} is mounted at {place}",
                vz_code=codes.FS_MOUNTED,
                hint=f"vzctl snapshot-umount {ctid} --id {uuid}",
            )
        parent = _read(folder, "").parent
        for child in (area.live_of(config), *folder.parent.iterdir()):
            _adopt(child, uuid, parent)
        (folder / "about.json").unlink()
        tidy(config)


def mount(node: Node, ctid: int, uuid: str, target: Path | None) -> Path:
    """Mount a snapshot read-only for the host to look at; return where."""
    with _locked(node, ctid) as config:
        folder = _existing(config, uuid)
        if there := area.snapshot_place(folder):
            raise VEError(f"snapshot {uuid} is mounted at {there}", vz_code=codes.FS_MOUNTED)
        place = target or config.root.with_name(f"{config.root.name}-{uuid}")
        link = folder / "mounted"
        link.unlink(missing_ok=True)
        link.symlink_to(place)
        layout = named(found(folder))
        area.mount_at(node, config, layout, folder, place, read_only=True)
        return place


def unmount(node: Node, ctid: int, uuid: str) -> None:
    """Unmount a snapshot."""
    with _locked(node, ctid) as config:
        folder = _existing(config, uuid)
        place = area.snapshot_place(folder)
        if place is None:
            raise VEError(f"snapshot {uuid} is not mounted", vz_code=codes.FS_NOT_MOUNTED)
        area.unmount_snapshot(config, folder)


def keep_live(config: VEConfig, about: Mapping[str, str], conf: str, fresh: Path) -> None:
    """Make a snapshot of what was live, and live of ``fresh``, which stands in ``snapshots``."""
    live = area.live_of(config)
    _describe(live, about, conf)
    exchange(fresh, live)
    sync_folder(fresh.parent)


def about_now(config: VEConfig, name: str, description: str) -> dict[str, str]:
    """Return what a snapshot that is made now says of itself."""
    return {
        "parent": _parent(area.live_of(config)),
        "date": f"{datetime.now():%Y-%m-%d %H:%M:%S.%f}",
        "name": name,
        "description": description,
    }


def _take(config: VEConfig, folder: Path, about: Mapping[str, str], conf: str) -> None:
    live = area.live_of(config)
    layout = named(found(live))
    with new_folder(folder) as fresh:
        layout.branch(config, live, fresh, folder.name)
        (fresh / "snapshot").write_text(f"{folder.name}\n")
        if not layout.STACKED:
            _describe(fresh, about, conf)
    if layout.STACKED:
        keep_live(config, about, conf, folder)
    else:
        write_text(live / "snapshot", f"{folder.name}\n")


def _describe(folder: Path, about: Mapping[str, str], conf: str) -> None:
    if conf:
        write_text(folder / "ve.conf", conf, 0o600)
    write_text(folder / "about.json", json.dumps(about))


def _read(folder: Path, current: str) -> Snapshot:
    try:
        about = json.loads((folder / "about.json").read_text())
        texts = {key: str(about[key]) for key in ("parent", "date", "name", "description")}
    except (ValueError, KeyError, TypeError) as error:
        raise VEError(
            f"{folder}/about.json is broken: {error}",
            vz_code=codes.LIST_SNAPSHOT_ERROR,
            hint="it is JSON with the strings parent, date, name and description",
        ) from error
    place = area.snapshot_place(folder)
    return Snapshot(
        uuid=folder.name,
        current=folder.name == current,
        target=str(place) if place else "",
        device=source_of(place) if place else "",
        **texts,
    )


def _parent(live: Path) -> str:
    try:
        return (live / "snapshot").read_text().strip()
    except FileNotFoundError:
        return ""


def _adopt(child: Path, deleted: str, parent: str) -> None:
    """Let what began as a deleted snapshot have begun as that one's own parent."""
    if _parent(child) == deleted:
        write_text(child / "snapshot", f"{parent}\n")
    if (child / "about.json").exists() and (one := _read(child, "")).parent == deleted:
        texts = {"date": one.date, "name": one.name, "description": one.description}
        write_text(child / "about.json", json.dumps({**texts, "parent": parent}))


def tidy(config: VEConfig) -> None:
    """Remove what is no snapshot (any more) and that nothing stands upon."""
    folders = list(config.private.glob("snapshots/*"))
    kept = [folder for folder in folders if (folder / "about.json").exists()]
    needed = {name for folder in (area.live_of(config), *kept) for name in lowers(folder)}
    for folder in folders:
        if folder not in kept and folder.name not in needed:
            remove_tree(folder, before=area.discard)
    area.tidy(config)


def _restored_conf(folder: Path, conf: Path) -> str | None:
    """Return a snapshot's configuration with what makes the VE this one; None when it has none."""
    try:
        saved = shellvars.read_text(folder / "ve.conf")
    except FileNotFoundError:
        return None
    now = shellvars.read(conf)
    return shellvars.updated(saved, {name: now.get(name) for name in _IDENTITY})


def _existing(config: VEConfig, uuid: str) -> Path:
    folder = config.private / "snapshots" / uuid
    if not (folder / "about.json").exists():
        raise VEError(
            f"container {config.ctid} has no snapshot {uuid}",
            vz_code=codes.INVALID_PARAMETER_VALUE,
            hint=f"`vzctl snapshot-list {config.ctid}` shows those there are",
        )
    return folder


@contextmanager
def _locked(node: Node, ctid: int) -> Iterator[VEConfig]:
    with locked(lock_path(node, ctid)):
        config = configuration.load(node, ctid)
        require_private(config)
        tidy(config)
        yield config
