"""Whether this machine can run programs of another architecture, and what to do when it can't."""

import os
from pathlib import Path

from vztmpl.errors import VztmplError
from vztmpl.template.name import TemplateName

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_MACHINES = {"x86": ("i686", "x86_64"), "armv7": ("armv7l",)}
"""What uname(2) says where programs of an architecture run by themselves."""
_EMULATORS = {"x86": "i386", "armv7": "arm"}
"""qemu's word, where it is not the template's."""
_CURE = (
    "apt-get install qemu-user-static binfmt-support; mount -t binfmt_misc binfmt_misc {binfmt};"
    " update-binfmts --enable qemu-{emulator}"
)


def require_runnable(name: TemplateName, *, machine: str = "", binfmt: Path = _BINFMT) -> None:
    """Refuse to build for an architecture whose programs this machine can't run.

    ``machine`` is what uname(2) says, ``binfmt`` where the kernel shows its binfmt_misc.
    """
    if (machine or os.uname().machine) in _MACHINES.get(name.arch, (name.arch,)):
        return
    emulator = _EMULATORS.get(name.arch, name.arch)
    state = _text(binfmt / f"qemu-{emulator}")
    if not state.startswith("enabled"):
        raise VztmplError(
            f"{name}: this machine can't run programs for {name.arch}",
            hint=_CURE.format(binfmt=binfmt, emulator=emulator),
        )
    flags = next((line for line in state.splitlines() if line.startswith("flags:")), "")
    if "F" not in flags:
        raise VztmplError(
            f"{name}: the emulator for {name.arch} would not be found inside a tree",
            hint="apt-get install qemu-user-static: it registers itself with the flag F",
        )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
