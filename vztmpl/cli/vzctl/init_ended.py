"""Do what is due when a container's init ended by itself; conmon calls this."""

from vztmpl.cli.vzctl.call import Call

ARGUMENTS = "TOKEN …"
OPTIONS: dict[str, str] = {}


def run(call: Call) -> None:
    """Boot the VE again after a reboot, else clear away what it used."""
    from vztmpl.ve import lifecycle

    lifecycle.init_ended(call.node, call.ctid, call.arguments[0], call.warn)
