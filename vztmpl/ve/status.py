"""What state a VE is in, read from facts: files, mounts and processes, never from memory.

``<run>/<CTID>/state`` holds pid, start time and boot token of the VE's init. It is written when
all is ready and just before init is let go; until then the runtime's ``exec.fifo`` stands there.
"""

from pathlib import Path
from typing import NamedTuple

from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig
from vztmpl.ve.mounts import is_mounted


class Boot(NamedTuple):
    """One life of a VE's init."""

    pid: int
    start_time: int
    """In clock ticks after the host's boot; tells a pid from a later process with the same one."""
    token: str
    """Names this life, so that news of an earlier one is not taken for it."""


class Status(NamedTuple):
    """What ``vzctl status`` says."""

    exists: bool
    mounted: bool
    boot: Boot | None

    @property
    def running(self) -> bool:
        """Whether the VE's init runs."""
        return self.boot is not None


def status(node: Node, config: VEConfig) -> Status:
    """Look a VE up."""
    return Status(
        exists=config.private.is_dir(),
        mounted=is_mounted(config.root),
        boot=running_boot(node, config.ctid),
    )


def running_boot(node: Node, ctid: int) -> Boot | None:
    """Return the present life of a VE's init; None when it does not run."""
    boot = recorded_boot(node, ctid)
    if boot is None or start_time(boot.pid) != boot.start_time:
        return None
    return None if exec_fifo(node, ctid).exists() else boot


def require_running(node: Node, ctid: int) -> Boot:
    """Return the present life of a VE's init; VEError when it does not run."""
    if boot := running_boot(node, ctid):
        return boot
    raise VEError(
        "Container is not running", vz_code=codes.VE_NOT_RUNNING, hint=f"vzctl start {ctid}"
    )


def recorded_boot(node: Node, ctid: int) -> Boot | None:
    """Return what is written down, whether it is still true or not."""
    try:
        pid, started, token = state_path(node, ctid).read_text().split()
        return Boot(int(pid), int(started), token)
    except (FileNotFoundError, ValueError):
        return None


def start_time(pid: int) -> int:
    """Return when a process started (field 22 of /proc/PID/stat); 0 when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def run_folder(node: Node, ctid: int) -> Path:
    """Return where the state of a running VE stands; it is there from start to stop."""
    return node.run / str(ctid)


def state_path(node: Node, ctid: int) -> Path:
    """Return the file with the present Boot."""
    return run_folder(node, ctid) / "state"


def runtime_root(node: Node) -> Path:
    """Return the folder in which the OCI runtime keeps its own state."""
    return node.run / "oci"


def exec_fifo(node: Node, ctid: int) -> Path:
    """Return what crun and runc have there while a container is made but not started."""
    return runtime_root(node) / str(ctid) / "exec.fifo"
