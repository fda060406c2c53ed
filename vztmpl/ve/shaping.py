"""Rates, MAC filters and address translation: what nft and tc do for the links of VEs.

Traffic towards a VE is shaped by a token bucket on the host's end of its link (tc-tbf(8)). What
comes from a VE meets nft chains on the host, where its root can't remove them: a table for its MAC
filters and its rate, and one that hides private addresses.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from vztmpl.errors import CommandError, ConfigError, VEError
from vztmpl.run import run
from vztmpl.settings import Node
from vztmpl.ve import codes, neighbours, network
from vztmpl.ve.config import VEConfig

Network = IPv4Network | IPv6Network

_LATENCY_MS = 50
_LEAST_BURST_BYTES = 1 << 17  # two of the largest packets that a link hands on at once


def wanted(node: Node, config: VEConfig) -> bool:
    """Say whether a VE's conf, or the node's for its addresses, asks for any of it."""
    filtered = any(one.mac_filter for one in config.interfaces)
    return bool(config.rate_kbit) or filtered or bool(_hidden(node, config))


def apply(node: Node, config: VEConfig, *, had_rate: bool) -> None:
    """Put a VE's rate, MAC filters and translation in force on links that are there."""
    own = network.host_interface(node, config.ctid)
    hidden = _hidden(node, config)
    tables = filter_table(own, config) + translation_table(own, _ranges(node), hidden)
    _call(["nft", "-f", "-"], tables)
    names = [own, *(one.host_ifname for one in config.interfaces)]
    if config.rate_kbit:
        _call(["tc", "-batch", "-"], "".join(bucket(name, config.rate_kbit) for name in names))
    elif had_rate:
        lines = "".join(f"qdisc delete dev {name} root\n" for name in names)
        _call(["tc", "-force", "-batch", "-"], lines, ok=(0, 1))
    if hidden:
        for device in neighbours.ways_out():
            neighbours.let_through(device)


def remove(node: Node, ctid: int) -> None:
    """Take a VE's tables away; its buckets went with its links."""
    name = network.host_interface(node, ctid)
    _call(["nft", "-f", "-"], _without(f"netdev {name}") + _without(f"inet {name}"))


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


def translation_table(own: str, ranges: Sequence[Network], hidden: Sequence[str]) -> str:
    """Return nft's text that masquerades what leaves ``ranges`` from the addresses ``hidden``."""
    if not hidden:
        return _without(f"inet {own}")
    rules = []
    for family, version in (("ip", 4), ("ip6", 6)):
        mine = ", ".join(one for one in hidden if ip_address(one).version == version)
        others = ", ".join(str(one) for one in ranges if one.version == version)
        if mine:
            rules.append(f"{family} saddr {{ {mine} }} {family} daddr != {{ {others} }} masquerade")
    hook = "type nat hook postrouting priority srcnat; policy accept;"
    return _replacing(f"inet {own}", [f"chain out {{ {hook}\n" + "\n".join(rules) + "\n}"])


def bucket(name: str, rate_kbit: int) -> str:
    """Return the ``tc -batch`` line that shapes what goes out on a link."""
    size = _burst_bytes(rate_kbit)
    return (
        f"qdisc replace dev {name} root tbf"
        f" rate {rate_kbit}kbit burst {size} latency {_LATENCY_MS}ms\n"
    )


def _burst_bytes(rate_kbit: int) -> int:
    return max(_LEAST_BURST_BYTES, rate_kbit * 1000 // 8 // 20)


def _hidden(node: Node, config: VEConfig) -> list[str]:
    """Return the addresses of a VE that nobody outside is to see."""
    ranges = _ranges(node)
    return [one for one in config.addresses if any(ip_address(one) in each for each in ranges)]


def _ranges(node: Node) -> list[Network]:
    try:
        return [ip_network(word) for word in node.setting("NAT_RANGES").replace(",", " ").split()]
    except ValueError as error:
        hint = 'NAT_RANGES="10.101.0.0/16"'
        raise ConfigError(node.etc / "vz.conf", "NAT_RANGES", str(error), hint=hint) from error


def _without(table: str) -> str:
    """Return nft's text that removes a table, whether it is there or not."""
    return f"table {table} {{}}\ndelete table {table}\n"


def _replacing(table: str, chains: Sequence[str]) -> str:
    """Return nft's text that makes a table anew in one step, whether it is there or not."""
    body = "\n".join(chains)
    return f"{_without(table)}table {table} {{\n{body}\n}}\n"


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
