"""Which VEs come up with the node, and in which order.

Those with ONBOOT="yes" do, and those whose ONBOOT is not set at all if they ran when the node went
down, by a shutdown or by a power cut: a file below ``<state>/running`` says so from a VE's start
until it is stopped by itself. The node's own shutdown leaves it.
"""

from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import config as configuration
from vztmpl.ve.config import VEConfig
from vztmpl.ve.status import running_boot


def remember(node: Node, config: VEConfig) -> None:
    """Note that a VE was started, where that matters."""
    if not config.onboot:
        mark = node.state / f"running/{config.ctid}"
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def forget(node: Node, ctid: int) -> None:
    """Note that a VE was stopped."""
    (node.state / f"running/{ctid}").unlink(missing_ok=True)


def to_start(node: Node) -> list[VEConfig]:
    """Return the VEs that come up with the node and do not run yet; the first to start first."""
    wanted = [
        config
        for config in _all(node)
        if config.private.is_dir()
        and not config.disabled
        and (config.onboot == "yes" or (not config.onboot and _ran(node, config.ctid)))
    ]
    return [config for config in _ordered(wanted) if not running_boot(node, config.ctid)]


def to_stop(node: Node) -> list[VEConfig]:
    """Return the VEs that run; the first to stop first: those that start last."""
    return [config for config in reversed(_ordered(_all(node))) if running_boot(node, config.ctid)]


def _ordered(configs: list[VEConfig]) -> list[VEConfig]:
    """Put VEs into the order of their start: higher BOOTORDER first, unset last (vzlist -s)."""
    return sorted(
        configs,
        key=lambda config: (
            config.boot_order is None,
            -(config.boot_order or 0),
            config.ctid,
        ),
    )


def _all(node: Node) -> list[VEConfig]:
    found = []
    for ctid in configuration.all_ctids(node):
        try:
            found.append(configuration.load(node, ctid))
        except VEError:
            continue  # a file that makes no sense holds up nobody else's VE; vzctl says why
    return found


def _ran(node: Node, ctid: int) -> bool:
    return (node.state / f"running/{ctid}").exists()
