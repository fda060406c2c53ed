"""How each kind of init is asked to shut down.

Told apart by the program that the kernel says it runs: templates are of every kind and age.
systemd(1) halts on SIGRTMIN+3 and busybox' init on SIGUSR2 (init/init.c). The others are asked the
way their own admin would, by a program inside the VE: sysvinit's and OpenRC's signals depend on
what stands in their configuration.
"""

import signal
from pathlib import Path

from vztmpl.settings import Node

_SIGNALS = {"systemd": signal.SIGRTMIN + 3, "busybox": signal.SIGUSR2}
# By their paths: a busybox shell would take its own poweroff, which knows its own init only
_POWER_OFF = ("/bin/sh", "-c", "/sbin/poweroff 2>/dev/null || /sbin/halt 2>/dev/null")


def ask_to_end(node: Node, ctid: int, pid: int, pidfd: int) -> None:
    """Ask the init of a VE, whose process is ``pid``, to shut the VE down."""
    if wanted := _SIGNALS.get(_program(pid)):
        signal.pidfd_send_signal(pidfd, wanted)
        return
    from vztmpl.ve.exec import run_quietly

    if run_quietly(node, ctid, _POWER_OFF):
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except FileNotFoundError:
        return ""
