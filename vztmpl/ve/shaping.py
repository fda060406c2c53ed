"""Rates, MAC filters and address translation: what nft and tc do for the links of VEs.

Traffic towards a VE is shaped by a token bucket on the host's end of its link (tc-tbf(8)). What
comes from a VE meets an nft chain on that end, where its root can't remove it: one table per VE
for its MAC filters and its rate, and one per node that hides private addresses.
"""

from collections.abc import Sequence
from ipaddress import ip_network

from vztmpl.errors import CommandError, ConfigError, VEError
from vztmpl.run import run
from vztmpl.settings import Node
from vztmpl.ve import codes, neighbours, network
from vztmpl.ve.config import VEConfig

_LATENCY_MS = 50
_LEAST_BURST_BYTES = 1 << 17  # two of the largest packets that a link hands on at once


def wanted(config: VEConfig) -> bool:
    """Say whether a VE's conf asks for any of it."""
    return bool(config.rate_kbit) or any(one.mac_filter for one in config.interfaces)


def apply(node: Node, config: VEConfig) -> None:
    """Put a VE's rate and MAC filters in force on links that are there."""
    own = network.host_interface(node, config.ctid)
    _call(["nft", "-f", "-"], filter_table(own, config))
    names = [own, *(one.host_ifname for one in config.interfaces)]
    if config.rate_kbit:
        _call(["tc", "-batch", "-"], "".join(bucket(name, config.rate_kbit) for name in names))
    else:
        _call(
            ["tc", "-force", "-batch", "-"],
            "".join(f"qdisc delete dev {n} root\n" for n in names),
            ok=(0, 1),
        )


def remove(node: Node, ctid: int) -> None:
    """Take a VE's table away; its buckets went with its links."""
    name = network.host_interface(node, ctid)
    _call(["nft", "-f", "-"], f"table netdev {name} {{}}\ndelete table netdev {name}\n")


def translate(node: Node) -> None:
    """Let VEs with addresses in NAT_RANGES go out under the host's own address."""
    _call(["nft", "-f", "-"], translation_table(f"vznat{node.tag}", node.setting("NAT_RANGES")))
    for device in neighbours.ways_out():
        neighbours.let_through(device)


def filter_table(own: str, config: VEConfig) -> str:
    """Return nft's text for a VE whose venet link the host calls ``own``."""
    links = [(own, "")] + [
        (one.host_ifname, one.mac if one.mac_filter else "") for one in config.interfaces
    ]
    chains = []
    for number, (name, mac) in enumerate(links):
        rules = [f"ether saddr != {mac} drop"] if mac else []
        if config.rate_kbit:
            size = _burst_bytes(config.rate_kbit)
            rate = config.rate_kbit * 1000 // 8
            rules.append(f"limit rate over {rate} bytes/second burst {size} bytes drop")
        hook = f'type filter hook ingress device "{name}" priority 0; policy accept;'
        chains.append(f"chain link{number} {{ {hook}\n" + "\n".join(rules) + "\n}")
    return _replacing(f"netdev {own}", chains)


def translation_table(name: str, ranges: str) -> str:
    """Return nft's text that masquerades what leaves ``ranges``; ConfigError when they are none."""
    try:
        networks = [ip_network(word) for word in ranges.replace(",", " ").split()]
    except ValueError as error:
        raise ConfigError("vz.conf", "NAT_RANGES", str(error), hint="10.101.0.0/16") from error
    rules = []
    for family, version in (("ip", 4), ("ip6", 6)):
        if mine := ", ".join(str(one) for one in networks if one.version == version):
            rules.append(f"{family} saddr {{ {mine} }} {family} daddr != {{ {mine} }} masquerade")
    hook = "type nat hook postrouting priority srcnat; policy accept;"
    return _replacing(f"inet {name}", [f"chain out {{ {hook}\n" + "\n".join(rules) + "\n}"])


def bucket(name: str, rate_kbit: int) -> str:
    """Return the ``tc -batch`` line that shapes what goes out on a link."""
    size = _burst_bytes(rate_kbit)
    return (
        f"qdisc replace dev {name} root tbf"
        f" rate {rate_kbit}kbit burst {size} latency {_LATENCY_MS}ms\n"
    )


def _burst_bytes(rate_kbit: int) -> int:
    return max(_LEAST_BURST_BYTES, rate_kbit * 1000 // 8 // 20)


def _replacing(table: str, chains: Sequence[str]) -> str:
    """Return nft's text that makes a table anew in one step, whether it is there or not."""
    body = "\n".join(chains)
    return f"table {table} {{}}\ndelete table {table}\ntable {table} {{\n{body}\n}}\n"


def _call(argv: Sequence[str], text: str, ok: Sequence[int] = (0,)) -> None:
    try:
        run(argv, stdin=text, ok=ok)
    except CommandError as error:
        said = error.tail.strip().splitlines()
        raise VEError(
            f"{argv[0]} refused: {said[0] if said else error}",
            vz_code=codes.NETWORK_ERROR,
            hint="`vztmpl doctor` says what this machine lacks",
        ) from error
