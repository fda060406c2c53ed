"""The admin's own scripts around a VE's life, in OpenVZ's order and environment.

``vps.premount``, ``<CTID>.premount``, the root is mounted, ``vps.mount``, ``<CTID>.mount``, init
runs, ``<CTID>.start``; ``<CTID>.stop``, init ends, ``vps.umount``, ``<CTID>.umount``, the root is
unmounted, ``vps.postumount``, ``<CTID>.postumount``. They stand in the conf folder. ``.start`` and
``.stop`` run inside the VE, the others on the host. One that fails ends the command with 79.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from vztmpl.errors import CommandError, VEError
from vztmpl.settings import Node
from vztmpl.ve import area, codes
from vztmpl.ve.config import VEConfig, conf_path
from vztmpl.ve.mounts import is_mounted


def mount_root(node: Node, config: VEConfig) -> None:
    """Mount a VE's root between its scripts; one that fails leaves it unmounted."""
    _on_host(node, config, "premount")
    area.mount_root(node, config)
    try:
        _on_host(node, config, "mount")
    except BaseException:
        area.unmount_root(config)
        raise


def unmount_root(node: Node, config: VEConfig) -> None:
    """Unmount a VE's root between its scripts; not mounted is fine."""
    if is_mounted(config.root):
        _on_host(node, config, "umount")
        area.unmount_root(config)
        _on_host(node, config, "postumount")


def run_inside(node: Node, ctid: int, event: str) -> None:
    """Run a VE's ``start`` or ``stop`` script in it, if there is one; it runs already, or still."""
    script = node.etc / f"conf/{ctid}.{event}"
    if script.exists():
        from vztmpl.ve.exec import run_script

        if status := run_script(node, ctid, script):
            raise _failed(script, f"status {status}")


def _on_host(node: Node, config: VEConfig, event: str) -> None:
    env = {"VEID": str(config.ctid), "VE_CONFFILE": str(conf_path(node, config.ctid))}
    for script in _scripts(node, config.ctid, event):
        from vztmpl.run import run

        if not os.access(script, os.X_OK):
            raise _failed(script, "it is not executable")
        try:
            run([script], env=env)
        except CommandError as error:
            words = f"status {error.status}: {error.tail.strip()}"
            raise _failed(script, words.removesuffix(": ")) from error


def _scripts(node: Node, ctid: int, event: str) -> Iterator[Path]:
    for who in ("vps", ctid):
        if (script := node.etc / f"conf/{who}.{event}").exists():
            yield script


def _failed(script: Path, why: str) -> VEError:
    return VEError(
        f"action script {script} failed: {why}",
        vz_code=codes.ACTIONSCRIPT_ERROR,
        hint="mend the script, or take it away",
    )
