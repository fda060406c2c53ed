"""Boot a container.

It has its limits and its network before its init runs. With --wait the command returns when the
container's own boot is over; without it, as soon as init runs.

Example: vzctl start 101 --wait
"""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = ""
WAIT_OPTION = {"wait": "return when the container's boot is over, with 133 if a unit failed"}
OPTIONS = WAIT_OPTION


def run(call: Call) -> int | None:
    """Start the VE."""
    from vztmpl.ve import lifecycle

    call.say("Starting container ...")
    lifecycle.start(call.node, call.ctid, call.warn)
    call.say("Container start in progress...")
    if call.has("wait"):
        return wait(call)
    return 0


def wait(call: Call) -> int:
    """Wait until the VE's systemd says that the boot is over; another init does not say."""
    from vztmpl.ve import codes, exec

    status = exec.enter(call.node, call.ctid, exec.shell_command([_WAIT]))
    return codes.WAIT_FAILED if status else 0


# systemd answers on its private socket a moment after it is started
_WAIT = """
command -v systemctl >/dev/null || exit 0
i=0; until systemctl show-environment >/dev/null 2>&1; do
  i=$((i + 1)); [ $i -lt 500 ] || exit 1; sleep 0.02; done
systemctl is-system-running --wait"""
