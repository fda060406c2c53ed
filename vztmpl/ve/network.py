"""venet: a routed link of its own for every VE, with single addresses and nothing but IP on it.

OpenVZ's venet has no MAC addresses, no ARP and no broadcast. A veth pair comes to the same when
both ends carry one MAC address and have ARP turned off: the kernel then sends every packet to that
address, which is the other end's too. The host routes each address of the VE to its end of the
pair, the VE sends everything to its own (``venet0``); strict reverse path filtering on the host's
end drops what claims another VE's address. All is set from outside, so it does not matter what
network scripts the VE has.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from vztmpl.errors import CommandError, VEError
from vztmpl.run import run
from vztmpl.settings import Node
from vztmpl.ve import codes

VE_INTERFACE = "venet0"


def host_interface(node: Node, ctid: int) -> str:
    """Return the name of the host's end: ``ve101``, or a hash when VZ_SYSROOT is set."""
    from zlib import crc32

    return f"v{crc32(f'{node.tag}/{ctid}'.encode()):08x}" if node.tag else f"ve{ctid}"


def attach(node: Node, ctid: int, pid: int, addresses: Sequence[str]) -> None:
    """Give the network namespace of process ``pid`` its link and its addresses."""
    name = host_interface(node, ctid)
    on_host(link_commands(name, ctid, pid) + [route("add", name, one) for one in addresses])
    in_ve(pid, inside_commands() + [address("add", one) for one in addresses])
    _guard(name)


def detach(node: Node, ctid: int) -> None:
    """Take the link away; none is fine, and so is one that goes by itself meanwhile."""
    name = host_interface(node, ctid)
    if not Path(f"/proc/sys/net/ipv4/conf/{name}").exists():  # unlike /sys, of our own namespace
        return
    try:
        on_host([f"link delete {name}"])
    except VEError as error:
        if "Cannot find device" not in str(error):
            raise


def add(node: Node, ctid: int, pid: int, one: str, *, way_out: bool = True) -> None:
    """Give a running VE one more address; the way out goes with the last one and has to be set."""
    on_host([route("add", host_interface(node, ctid), one)])
    default = [f"route replace default dev {VE_INTERFACE}"] if way_out and ":" not in one else []
    in_ve(pid, [address("add", one), *default])


def remove(node: Node, ctid: int, pid: int, one: str) -> None:
    """Take an address away from a running VE."""
    in_ve(pid, [address("delete", one)])
    on_host([route("delete", host_interface(node, ctid), one)])


def link_commands(name: str, ctid: int, pid: int) -> list[str]:
    """Return the ``ip -batch`` lines that make the pair."""
    mac = "02:01:" + ":".join(f"{byte:02x}" for byte in ctid.to_bytes(4, "big"))
    return [
        f"link add {name} address {mac} arp off"
        f" type veth peer name {VE_INTERFACE} address {mac} arp off netns {pid}",
        f"link set {name} addrgenmode none up",
    ]


def inside_commands() -> list[str]:
    """Return the ``ip -batch`` lines that bring the VE's end up."""
    return [
        "link set lo up",
        f"link set {VE_INTERFACE} addrgenmode none up",
        f"route add default dev {VE_INTERFACE}",
        f"route add ::/0 dev {VE_INTERFACE}",
    ]


def route(verb: str, name: str, one: str) -> str:
    """Return the line that routes an address of the VE to its link."""
    return f"route {verb} {one}/{_bits(one)} dev {name}"


def address(verb: str, one: str) -> str:
    """Return the line that sets an address inside the VE."""
    quick = " nodad" if ":" in one and verb == "add" else ""
    return f"address {verb} {one}/{_bits(one)} dev {VE_INTERFACE}{quick}"


def _bits(one: str) -> int:
    return 128 if ":" in one else 32


def _guard(name: str) -> None:
    """Forward what comes from the VE, if it comes from an address that is the VE's."""
    for setting, value in (
        (f"ipv4/conf/{name}/forwarding", "1"),
        (f"ipv4/conf/{name}/rp_filter", "1"),
        (f"ipv4/conf/{name}/send_redirects", "0"),
        (f"ipv6/conf/{name}/force_forwarding", "1"),
    ):
        path = Path("/proc/sys/net") / setting
        if (
            path.exists()
        ):  # no IPv6 on this host, or Linux before 6.17: forwards by its global switch
            path.write_text(value)


def on_host(lines: Iterable[str]) -> None:
    """Run ``ip -batch`` lines where the host's links are."""
    _batch(["ip", "-batch", "-"], lines)


def in_ve(pid: int, lines: Iterable[str]) -> None:
    """Run ``ip -batch`` lines in the network namespace of process ``pid``."""
    _batch(["nsenter", f"--net=/proc/{pid}/ns/net", "--", "ip", "-batch", "-"], lines)


def ip(line: str) -> None:
    """Run one line of ``ip`` on the host; CommandError when it is refused."""
    run(["ip", *line.split()])


def _batch(argv: Sequence[str], lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if not Path("/proc/sys/net/ipv6").exists():
        text = "".join(f"{line}\n" for line in text.splitlines() if "::" not in line)
    try:
        run(argv, stdin=text)
    except CommandError as error:
        said = error.tail.strip().splitlines()
        raise VEError(
            f"can't set up the network: {said[0] if said else error}",
            vz_code=codes.NETWORK_ERROR,
            hint="`ip route get ADDRESS` shows what else holds the address",
        ) from error
