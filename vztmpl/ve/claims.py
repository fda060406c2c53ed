"""What only one VE of a node may have: its name, its addresses."""

from vztmpl import shellvars
from vztmpl.errors import VEError
from vztmpl.settings import Node
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig, all_ctids, conf_path, find


def link_name(node: Node, config: VEConfig) -> None:
    """Let a VE's name stand for it; VEError when the name means another VE."""
    if not config.name:
        return
    link = node.etc / "names" / config.name
    holder = find(node, config.name) if link.is_symlink() else config.ctid
    if holder != config.ctid and conf_path(node, holder).exists():
        raise VEError(
            f"Name {config.name} is taken by container {holder}",
            vz_code=codes.SET_NAME_ERROR,
            hint="choose another name",
        )
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(f"../conf/{config.ctid}.conf")


def unlink_name(node: Node, config: VEConfig) -> None:
    """Let a VE's name mean nothing."""
    link = node.etc / "names" / config.name
    if link.is_symlink() and find(node, config.name) == config.ctid:
        link.unlink()


def check_addresses(node: Node, config: VEConfig) -> None:
    """Refuse an address that another VE has."""
    if not config.addresses:
        return
    for ctid in all_ctids(node):
        values = shellvars.read(conf_path(node, ctid)) if ctid != config.ctid else {}
        for one in values.get("IP_ADDRESS", "").split():
            if one in config.addresses:
                raise VEError(
                    f"IP address {one} is already used by container {ctid}",
                    vz_code=codes.IP_INUSE,
                    hint=f"vzctl set {ctid} --ipdel {one} --save",
                )
