"""What a VE's init finds in its fresh /run: what systemd need not try, whatever the template.

The kernel, its modules, its file systems, disks and devices belong to the hardware node. Masks in
/run are what ``systemctl mask --runtime`` makes (systemd.unit(5), systemd.generator(7)): the VE's
root may take one away or overrule it in /etc, and nothing in the private area changes. Other inits
do not look there. A generator less is a program less at every boot; nine were a fifth of its time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from vztmpl.ve.config import VEConfig

_GENERATORS = (
    "bless-boot", "cryptsetup", "debug", "gpt-auto", "hibernate-resume", "integritysetup", "run",
    "tpm2", "veritysetup",
)  # fmt: skip
_TEMPLATES_OWN = "vztmpl-container"
"""A template's generator that does in other container systems what is done here."""
_UNITS = (
    "auditd.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",  # mounted from outside
    "e2scrub_reap.service",
    "fstrim.timer",
    "kmod-static-nodes.service",
    "mdmonitor.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-boot-random-seed.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journald-audit.socket",
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service",  # /dev is made from outside
    "systemd-udev-settle.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd-varlink.socket",
    "systemd-udevd.service",
    "systemd-vconsole-setup.service",
)
_MASKS = {
    "system-generators": [*(f"systemd-{name}-generator" for name in _GENERATORS), _TEMPLATES_OWN],
    "system": _UNITS,
}


def prepare(config: VEConfig, pid: int) -> None:
    """Write the masks into the /run of a VE whose init ``pid`` is made but was not let go yet.

    /run is a file system of the VE's own then, and nobody was in it. In the VE's tree it may be a
    link to anywhere: then there is nothing to be done.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
    try:
        run = os.open("run", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    except NotADirectoryError:
        return
    finally:
        os.close(root)
    try:
        with _as(config.first_id):
            _write_masks(run)
    finally:
        os.close(run)


def _write_masks(run: int) -> None:
    os.mkdir("systemd", dir_fd=run)
    for folder, names in _MASKS.items():
        os.mkdir(f"systemd/{folder}", dir_fd=run)
        for name in names:
            os.symlink("/dev/null", f"systemd/{folder}/{name}", dir_fd=run)


@contextmanager
def _as(first_id: int) -> Iterator[None]:
    """Act as the VE's root: its file systems know no other owners."""
    os.setegid(first_id)
    os.seteuid(first_id)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
