"""The OCI ``config.json`` of a VE: what the runtime isolates it with.

Format: github.com/opencontainers/runtime-spec, config.md and config-linux.md. What systemd expects
of its surroundings: systemd.io/CONTAINER_INTERFACE.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vztmpl.run import STANDARD_PATH
from vztmpl.ve import namespaced, rlimits
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.units import Pair

_NAMESPACES = ("pid", "mount", "uts", "ipc", "network", "cgroup")

# OpenVZ's default set plus what its upstream backend adds (sys_admin, net_admin): all of them hold
# inside the VE's own user namespace only. Left out: what reaches past every namespace.
_CAPABILITIES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "SETFCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",
    "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
    "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
    "SYSLOG",
)  # fmt: skip

# The calls that LXC's default profile and Docker's both refuse to every container: modules, kexec,
# and opening files by handle, which would step out of the mount namespace.
_REFUSED_CALLS = (
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
    "open_by_handle_at", "swapon", "swapoff", "add_key", "request_key", "keyctl",
    "bpf", "perf_event_open", "userfaultfd",
)  # fmt: skip

_MASKED = (
    "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
    "/proc/scsi", "/proc/acpi", "/sys/firmware", "/sys/dev/block", "/sys/fs/selinux",
)  # fmt: skip
_READ_ONLY = ("/proc/sysrq-trigger", "/proc/bus", "/proc/fs", "/proc/irq")


def spec(
    config: VEConfig, hostname: str, place: str, cgroup: str, users: str = ""
) -> dict[str, Any]:
    """Return the content of ``config.json``.

    ``place`` is where the runtime finds the VE's root; ``cgroup`` is relative to the hierarchies;
    ``users`` is the path of a user namespace that is there already.
    """
    given = config.beancounters
    namespaces = [{"type": kind} for kind in _NAMESPACES]
    namespaces.append({"type": "user", "path": users} if users else {"type": "user"})
    ids = [{"containerID": 0, "hostID": config.first_id, "size": IDS_PER_VE}]
    return {
        "ociVersion": "1.0.2",
        "hostname": hostname,
        "root": {"path": place, "readonly": False},
        "process": _init(given),
        "mounts": _mounts(given),
        "linux": {
            "namespaces": namespaces,
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": f"/{cgroup}",
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": list(_REFUSED_CALLS), "action": "SCMP_ACT_ERRNO"}],
            },
            "maskedPaths": list(_MASKED),
            "readonlyPaths": [*_READ_ONLY, *namespaced.guarded_paths(given)],
        },
    }


def _init(given: Mapping[str, Pair]) -> Mapping[str, Any]:
    capabilities = [f"CAP_{name}" for name in _CAPABILITIES]
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["/sbin/init"],
        "cwd": "/",
        "env": [f"PATH={STANDARD_PATH}", "container=vztmpl", "TERM=linux"],
        "capabilities": {kind: capabilities for kind in ("bounding", "effective", "permitted")},
        "noNewPrivileges": False,
        "rlimits": rlimits.for_spec(given),
    }


def _mounts(given: Mapping[str, Pair]) -> list[Mapping[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    pts = ["nosuid", "noexec", "newinstance", *namespaced.pts_options(given, gid=5)]
    return [
        _mount("/proc", "proc", *quiet),
        _mount("/sys", "sysfs", *quiet, "ro"),
        # Not "cgroup": whatever the host has, init gets a plain v2 tree that begins at its group
        _mount("/sys/fs/cgroup", "cgroup2", *quiet, "rw"),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=64k", "nr_inodes=1k"),
        _mount("/dev/pts", "devpts", *pts),
        _mount("/dev/shm", "tmpfs", *quiet, "mode=1777"),  # noqa: S108 - a mount point in the VE
        _mount("/dev/mqueue", "mqueue", *quiet),
        _mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"),
    ]


def _mount(destination: str, kind: str, *options: str) -> Mapping[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``config.json`` into a bundle folder."""
    import json

    (folder / "config.json").write_text(json.dumps(content, indent=1))
