"""overlay: a base below, shared by all VEs of a template, and a VE's own changes above it.

    base -> .../base/<digest>   what the VE was made from; an empty folder after a conversion
    upper/                      the changes; owners are ids of the VE's own range
    work/                       overlayfs' own
    lowers                      names of the snapshots whose ``upper`` stand between, topmost first

The base is owned by 0…65535. It is mounted idmapped to the VE's range as the lowest layer, so
nothing is chowned and one copy in the page cache serves every VE.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.layout import Usage
from vztmpl.ve.mounts import is_mounted

STACKED = True
_MAX_OPTIONS_BYTES = 4000  # mount(2) takes one page


def fill(node: Node, config: VEConfig, live: Path, tree: Path) -> None:
    """Put nothing above a base; copy any other tree into the upper layer."""
    if tree.parent == node.bases:
        (live / "base").symlink_to(tree)
        _add_layer(config, live, tree, config.first_id)
        return
    from vztmpl.ve.layout.copying import copy_tree

    (live / "base").mkdir()
    _add_layer(config, live, tree, config.first_id)
    with _own_place(node.run / f"fill-{config.ctid}") as place:
        ids = (0, IDS_PER_VE)
        upper = live / "upper"
        kernel.bind_idmapped(upper, place, *ids, stored_first=config.first_id, read_only=False)
        copy_tree(tree, place)


def branch(config: VEConfig, source: Path, new: Path, name: str) -> None:
    """Put a new upper layer above the source's."""
    if is_mounted(config.root):
        raise VEError(
            "an overlay container has to be stopped and unmounted for this",
            vz_code=codes.VE_RUNNING,
            hint=f"`vzctl stop {config.ctid}`; layouts btrfs and ploop can do it at any time",
        )
    _add_beside(config, source, new)
    (new / "lowers").write_text("".join(f"{each}\n" for each in (name, *lowers(source))))
    _options(config, new, config.root, read_only=False)


def lowers(live: Path) -> list[str]:
    """Return the snapshots that a live folder or a snapshot stands on, topmost first."""
    try:
        return (live / "lowers").read_text().split()
    except FileNotFoundError:
        return []


def mount(node: Node, config: VEConfig, live: Path, root: Path, *, read_only: bool) -> None:
    """Mount the layers. Killed half-way it leaves no mount: it is made where nobody else sees it.

    The overlay holds its own copy of the base's idmapped mount.
    """
    base, lower = _base(config, live), node.run / f"lower-{config.ctid}"
    options = _options(config, live, lower, read_only=read_only)
    lower.mkdir(parents=True, exist_ok=True)

    def stack() -> None:
        host = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        kernel.own_mount_namespace()
        kernel.bind_idmapped(base, lower, config.first_id, IDS_PER_VE)
        kernel.mount(f"ve-{config.ctid}", root, "overlay", options=options)
        made = kernel.open_tree(root)
        kernel.set_namespace(Path(f"/proc/self/fd/{host}"), kernel.CLONE_NEWNS)
        kernel.move_mount(made, root)

    try:
        with kernel.child_that(stack):
            pass
    finally:
        lower.rmdir()


@contextmanager
def tree(node: Node, config: VEConfig, live: Path) -> Iterator[Path]:
    """Mount all layers read-only, with the uppers' owners shown as a template has them."""
    with _own_place(node.run / f"tree-{config.ctid}") as place:
        kernel.mount("tree", place, "tmpfs")
        layers = []
        for number, upper in enumerate(_uppers(config, live)):
            layers.append(place / str(number))
            layers[-1].mkdir()
            ids = (0, IDS_PER_VE)
            kernel.bind_idmapped(upper, layers[-1], *ids, stored_first=config.first_id)
        merged = place / "merged"
        merged.mkdir()
        joined = ":".join(str(path) for path in (*layers, _base(config, live)))
        kernel.mount("tree", merged, "overlay", options=f"lowerdir={joined}")
        yield merged


def bound(config: VEConfig, live: Path) -> None:
    """Set the project quota, where there is one."""
    if config.disk.bounded:
        from vztmpl.ve.layout import project

        project.bound(config, [live / "upper", live / "work"])


def not_enforced(config: VEConfig, live: Path) -> dict[str, str]:
    """Say what is not kept without project quota."""
    if not config.disk.bounded:
        return {}
    from vztmpl.ve.layout import project

    return project.not_enforced(config, live)


def usage(config: VEConfig, live: Path) -> Usage:
    """Ask the project quota: the base is not counted."""
    from vztmpl.ve.layout import project

    return project.usage(config, live / "upper")


def compact(_node: Node, config: VEConfig, live: Path) -> None:
    """Join the layers of deleted snapshots that stand directly below the upper one with it."""
    from vztmpl.ve import area
    from vztmpl.ve.layout.merging import join_layers

    below = lowers(live)
    deleted = list(takewhile(lambda name: not _is_snapshot(config, name), below))
    if not deleted:
        return
    with area.new_live(config) as fresh:
        _add_beside(config, live, fresh)
        join_layers(_uppers(config, live)[: len(deleted) + 1], fresh / "upper")
        (fresh / "lowers").write_text("".join(f"{each}\n" for each in below[len(deleted) :]))
        if (live / "snapshot").exists():
            (fresh / "snapshot").write_text((live / "snapshot").read_text())


def _add_layer(config: VEConfig, live: Path, like: Path, shift: int) -> None:
    """Make ``upper`` and ``work``; the upper's own attributes are those of the VE's root."""
    for name in ("upper", "work"):
        (live / name).mkdir()
    about = like.stat()
    os.chown(live / "upper", about.st_uid + shift, about.st_gid + shift)
    (live / "upper").chmod(about.st_mode & 0o7777)
    if config.disk.bounded:
        from vztmpl.ve.layout import project

        project.claim(config, [live / "upper", live / "work"])


def _add_beside(config: VEConfig, source: Path, new: Path) -> None:
    """Give ``new`` an upper layer of its own upon the base that ``source`` has."""
    if (source / "base").is_symlink():
        (new / "base").symlink_to((source / "base").readlink())
    else:
        (new / "base").mkdir()
    _add_layer(config, new, source / "upper", 0)


def _is_snapshot(config: VEConfig, name: str) -> bool:
    return (config.private / "snapshots" / name / "about.json").exists()


def _base(config: VEConfig, live: Path) -> Path:
    base = live / "base"
    if not base.is_dir():
        raise VEError(
            f"{base}: the base of this VE is gone",
            vz_code=codes.FS_NOPRVT,
            hint=f"fetch or build {config.ostemplate or 'its template'} again",
        )
    return base.resolve()


def _uppers(config: VEConfig, live: Path) -> list[Path]:
    below = [config.private / "snapshots" / name / "upper" for name in lowers(live)]
    return [live / "upper", *below]


def _options(config: VEConfig, live: Path, base: Path, *, read_only: bool) -> str:
    upper, *below = _uppers(config, live)
    joined = ":".join(str(path) for path in (*([upper] if read_only else []), *below, base))
    options = f"lowerdir={joined}"
    if not read_only:
        options += f",upperdir={upper},workdir={live / 'work'}"
    if len(options) > _MAX_OPTIONS_BYTES:
        raise VEError(
            f"{len(below)} snapshots upon each other are more than the kernel takes",
            vz_code=codes.FS_CANTMOUNT,
            hint=f"delete the newest ones; `vzctl compact {config.ctid}` then joins their layers",
        )
    return options


@contextmanager
def _own_place(place: Path) -> Iterator[Path]:
    """Yield a folder to mount over, in a mount namespace of this process's own."""
    place.mkdir(parents=True, exist_ok=True)
    kernel.own_mount_namespace()
    try:
        yield place
    finally:
        with suppress(OSError):  # nothing may stand there yet
            kernel.unmount(place, lazily=True)
        place.rmdir()
