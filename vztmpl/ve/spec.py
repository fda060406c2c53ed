"""The OCI ``config.json`` of a VE: what the runtime isolates it with.

Format: github.com/opencontainers/runtime-spec, config.md and config-linux.md. What systemd expects
of its surroundings: systemd.io/CONTAINER_INTERFACE.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vztmpl.run import STANDARD_PATH
from vztmpl.ve import namespaced, rlimits
from vztmpl.ve.config import IDS_PER_VE, VEConfig
from vztmpl.ve.units import Pair

if TYPE_CHECKING:
    from vztmpl.ve.isolation import Isolation

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
    "open_by_handle_at", "swapon", "swapoff", "bpf", "perf_event_open", "userfaultfd",
)  # fmt: skip
# Keyrings are counted per user of the host and not all of them are kept apart by namespaces; with
# nesting the VE's own container programs want them.
_KEYRING_CALLS = ("add_key", "request_key", "keyctl")

# Programs of the machine's 32-bit relative: without these lines seccomp kills them.
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
# What a packet filter is set with: netlink(7) of family 12, and the socket options of x_tables
# (IPT_SO_SET_REPLACE and _ADD_COUNTERS of IPv4 and IPv6, EBT_SO_SET_ENTRIES and _COUNTERS).
_AF_NETLINK, _NETLINK_NETFILTER = 16, 12
_FILTER_OPTIONS = ((0, 64), (0, 65), (41, 64), (41, 65), (0, 128), (0, 129))
_INT = 0xFFFFFFFF  # the kernel looks at the lower half of these arguments only, and so must we

_MASKED = (
    "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
    "/proc/scsi", "/proc/acpi", "/sys/firmware", "/sys/dev/block", "/sys/fs/selinux",
)  # fmt: skip
_READ_ONLY = ("/proc/sysrq-trigger", "/proc/bus", "/proc/fs", "/proc/irq")


def spec(
    config: VEConfig,
    hostname: str,
    place: str,
    cgroup: str,
    *,
    init: Sequence[str],
    devices: Mapping[str, Path],
    users: str = "",
) -> dict[str, Any]:
    """Return the content of ``config.json``.

    ``place`` is where the runtime finds the VE's root; ``cgroup`` is relative to the hierarchies;
    ``devices`` are nodes for the VE by their name below its /dev; ``users`` is the path of a user
    namespace that is there already.
    """
    given, isolation = config.beancounters, config.isolation
    nesting = isolation is not None and isolation.has("nesting")
    namespaces = [{"type": kind} for kind in _NAMESPACES]
    namespaces.append({"type": "user", "path": users} if users else {"type": "user"})
    ids = [{"containerID": 0, "hostID": config.first_id, "size": IDS_PER_VE}]
    return {
        "ociVersion": "1.0.2",
        "hostname": hostname,
        "root": {"path": place, "readonly": False},
        "process": _init(init, given, isolation),
        "mounts": [*_mounts(given), *_device_mounts(devices)],
        "linux": {
            "namespaces": namespaces,
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": f"/{cgroup}",
            "seccomp": _seccomp(isolation),
            # With these in sight nowhere unmasked, the kernel would not let the VE mount a proc or
            # a sysfs for containers of its own (mount_too_revealing in fs/namespace.c)
            "maskedPaths": [] if nesting else list(_MASKED),
            "readonlyPaths": [] if nesting else [*_READ_ONLY, *namespaced.guarded_paths(given)],
        },
    }


def _init(
    command: Sequence[str], given: Mapping[str, Pair], isolation: "Isolation | None"
) -> Mapping[str, Any]:
    held = dict.fromkeys(_CAPABILITIES, True)
    if isolation:
        held |= {name.upper(): on for name, on in isolation.capabilities.items()}
    capabilities = [f"CAP_{name}" for name, on in held.items() if on]
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": list(command),
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


def _device_mounts(devices: Mapping[str, Path]) -> list[Mapping[str, Any]]:
    return [
        {
            "destination": f"/dev/{name}",
            "type": "bind",
            "source": str(node),
            "options": ["bind", "nosuid", "noexec"],
        }
        for name, node in devices.items()
    ]


def _seccomp(isolation: "Isolation | None") -> Mapping[str, Any]:
    nesting = isolation is not None and isolation.has("nesting")
    refused = [*_REFUSED_CALLS, *(() if nesting else _KEYRING_CALLS)]
    rules: list[Mapping[str, Any]] = [{"names": refused, "action": "SCMP_ACT_ERRNO"}]
    profile: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    if isolation and isolation.netfilter == "disabled":
        # Native programs only: a 32-bit one makes its sockets by a call that can't be told apart
        rules.append(_refused("socket", {0: _AF_NETLINK, 2: _NETLINK_NETFILTER}))
        rules += [
            _refused("setsockopt", {1: level, 2: option}) for level, option in _FILTER_OPTIONS
        ]
    else:
        profile["architectures"] = list(_ARCHITECTURES.get(os.uname().machine, ()))
    return profile


def _refused(call: str, arguments: Mapping[int, int]) -> Mapping[str, Any]:
    return {
        "names": [call],
        "action": "SCMP_ACT_ERRNO",
        "args": [
            {"index": index, "value": _INT, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}
            for index, value in arguments.items()
        ],
    }


def _mount(destination: str, kind: str, *options: str) -> Mapping[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``config.json`` into a bundle folder."""
    import json

    (folder / "config.json").write_text(json.dumps(content, indent=1))
