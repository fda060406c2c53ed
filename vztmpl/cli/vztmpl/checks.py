"""What vztmpl and vzctl need of a machine: programs, kernel features, cgroups, room on the disk.

Each check is a function of texts that the kernel gives (proc(5), cgroups(7)), so it can be tried
with the texts of other machines.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from vztmpl.settings import Node
from vztmpl.ve.cgroup import CONTROLLERS, mounts

_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "bwrap": "bubblewrap",
    "crun or runc": "crun",
    "conmon": "conmon",
    "ip": "iproute2",
    "gpg": "gpg gpg-agent",
    "gpgconf": "gpgconf",
    "tar": "tar",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "xz": "xz-utils",
    "tar2sqfs": "squashfs-tools-ng",
    "nft": "nftables",
}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LEAST_KERNEL = (5, 19)
_LEAST_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that is needed."""

    name: str
    ok: bool
    found: str
    cure: str


def all_checks(node: Node) -> list[Check]:
    """Look at this machine."""
    release = os.uname().release
    mountinfo = _text(Path("/proc/self/mountinfo"))
    return [
        root(os.geteuid()),
        *(program(names, package) for names, package in _PACKAGES.items()),
        archive_keyring(_KEYRING),
        kernel(release),
        user_namespaces(_text(Path("/proc/sys/user/max_user_namespaces"))),
        overlay(
            _text(Path("/proc/filesystems")),
            _text(Path(f"/lib/modules/{release}/modules.dep")),
        ),
        cgroups(mountinfo),
        *controllers(mountinfo, {path: _controllers_at(path) for path in _cgroup2(mountinfo)}),
        free_disk(node.bases),
    ]


def root(user_id: int) -> Check:
    """Look who asks: building and running need root."""
    found = "root" if user_id == 0 else f"user {user_id}"
    return Check(name="root", ok=user_id == 0, found=found, cure="run it as root")


def program(names: str, package: str) -> Check:
    """Look for one of some programs on PATH."""
    paths = [path for name in names.split(" or ") if (path := shutil.which(name))]
    return Check(
        name=f"program {names}",
        ok=bool(paths),
        found=paths[0] if paths else "not installed",
        cure=f"apt-get install {package}",
    )


def archive_keyring(path: Path) -> Check:
    """Look for the keys that sign Debian's archive."""
    return Check(
        name="debian-archive-keyring",
        ok=path.exists(),
        found=str(path) if path.exists() else "not installed",
        cure="apt-get install debian-archive-keyring",
    )


def kernel(release: str) -> Check:
    """Look at the version: overlayfs takes idmapped lower layers since Linux 5.19."""
    match = re.match(r"(\d+)\.(\d+)", release)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    least = ".".join(map(str, _LEAST_KERNEL))
    cure = f"boot Linux {least} or newer: older ones can't idmap the layers of an overlay"
    return Check(name="kernel", ok=version >= _LEAST_KERNEL, found=release, cure=cure)


def user_namespaces(limit: str) -> Check:
    """Look at the limit: every VE gets a user namespace of its own."""
    number = limit.strip() or "none"
    return Check(
        name="user namespaces",
        ok=number.isdigit() and int(number) > 0,
        found=f"{number} allowed",
        cure="sysctl user.max_user_namespaces=10000; the kernel needs CONFIG_USER_NS",
    )


def overlay(filesystems: str, modules: str) -> Check:
    """Look for overlayfs, built in, loaded, or there to be loaded."""
    if re.search(r"^nodev\s+overlay$", filesystems, re.MULTILINE):
        ok, found = True, "in the kernel"
    elif "/overlayfs/overlay.ko" in modules:
        ok, found = True, "as a module"
    else:
        ok, found = False, "not there"
    cure = "modprobe overlay; the kernel needs CONFIG_OVERLAY_FS"
    return Check(name="overlay", ok=ok, found=found, cure=cure)


def cgroups(mountinfo: str) -> Check:
    """Say how cgroups are mounted; systemd inside a VE needs version 2 in any case."""
    version_2, version_1 = _cgroup2(mountinfo), mounts(mountinfo, "cgroup")
    if version_2 and not version_1:
        found = f"version 2 at {version_2[0]}"
    elif version_2:
        found = f"hybrid: version 1, and version 2 at {version_2[0]}"
    else:
        found = "version 1 only" if version_1 else "not mounted"
    where = "/sys/fs/cgroup/unified" if version_1 else "/sys/fs/cgroup"
    cure = f"mkdir -p {where} && mount -t cgroup2 cgroup2 {where}"
    return Check(name="cgroups", ok=bool(version_2), found=found, cure=cure)


def controllers(mountinfo: str, offered: dict[str, str]) -> list[Check]:
    """Look for what limits need; ``offered`` is cgroup.controllers by mount point."""
    where = {name: path for path, names in offered.items() for name in names.split()}
    for path, options in mounts(mountinfo, "cgroup"):
        where.update({name: str(path) for name in options.split(",")})
    return [
        Check(
            name=f"controller {name}",
            ok=name in where,
            found=f"at {where[name]}" if name in where else "not available",
            cure=f"boot with cgroup_enable={name}, or cgroup_no_v1=all to have it in version 2",
        )
        for name in CONTROLLERS
    ]


def free_disk(folder: Path) -> Check:
    """Look for room for templates and VEs."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    return Check(
        name="free disk",
        ok=free_bytes >= _LEAST_FREE_BYTES,
        found=f"{free_bytes / 1e9:.1f} GB at {there}",
        cure=f"make room for {folder}, or set TEMPLATE and VE_PRIVATE in vz.conf",
    )


def _cgroup2(mountinfo: str) -> list[str]:
    return [str(path) for path, _ in mounts(mountinfo, "cgroup2")]


def _controllers_at(path: str) -> str:
    return _text(Path(path) / "cgroup.controllers")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
