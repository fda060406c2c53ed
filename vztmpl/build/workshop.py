"""Where building happens: trees in memory when they fit, what is kept, locks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vztmpl import kernel
from vztmpl.build.steps import Trees
from vztmpl.files import remove_abandoned, remove_tree

_TMPFS_NEEDS_BYTES = 4 << 30
_DISK_NEEDS_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The places that a build uses."""

    folder: Path
    """Trees are built below it; nothing stays there."""
    kept: Path
    """What bootstrappers keep: indexes, packages."""
    trees: Trees | None
    """Trees of earlier builds; without, every step is done."""
    locks: Path
    tmpfs: bool
    """Whether trees may be built in memory when there is enough."""

    def has_room_beside(self, running: int) -> bool:
        """Say whether memory is enough for one more build beside those that are running."""
        one_bytes = _TMPFS_NEEDS_BYTES if self.tmpfs else _DISK_NEEDS_BYTES
        return _available_bytes() >= (running + 1) * one_bytes


@contextmanager
def tree_for(name: str, workshop: Workshop) -> Iterator[Path]:
    """Yield a path for the tree, in memory when it fits, and remove all of it afterwards."""
    place = workshop.folder / name
    remove_tree(place)
    remove_abandoned(place)
    place.mkdir(parents=True)
    os.umask(0o022)  # scripts and tar inherit it
    kernel.own_mount_namespace()  # whatever is mounted from here on goes with this process
    in_memory = workshop.tmpfs and _available_bytes() >= _TMPFS_NEEDS_BYTES
    try:
        if in_memory:
            kernel.mount("vztmpl-build", place, "tmpfs", options="mode=755,size=50%")
        yield place / "tree"
    finally:
        if in_memory:
            kernel.unmount(place, lazily=True)
        remove_tree(place)


def _available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
