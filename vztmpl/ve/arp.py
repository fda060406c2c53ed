"""Asking a network who has an address, and telling it: ARP (RFC 826, 5227) and NDP (RFC 4861)."""

import select
import socket
import struct
import time
from ipaddress import ip_address

_ETHERTYPE_ARP = 0x0806
_BROADCAST = b"\xff" * 6
_PROBES, _PROBE_SECONDS = 2, 0.1  # on a start's way; kernels answer in microseconds
_REQUEST = 1
_SOLICIT, _ADVERTISE = 135, 136
_OVERRIDE = 0x20000000


def holder(device: str, address: str) -> str:
    """Return the MAC address of whoever answers for an address on a link; empty: nobody."""
    plain = ip_address(address)
    with _socket(device, plain.version) as link:
        for _ in range(_PROBES):
            if plain.version == 4:  # noqa: PLR2004
                _send_arp(link, _REQUEST, bytes(4), plain.packed)
            else:
                _solicit(link, device, plain.packed)
            if found := _answer(link, plain.packed):
                return found
    return ""


def announce(device: str, address: str) -> None:
    """Tell all on a link that an address is here now."""
    plain = ip_address(address)
    with _socket(device, plain.version) as link:
        if plain.version == 4:  # noqa: PLR2004
            _send_arp(link, _REQUEST, plain.packed, plain.packed)
        else:
            own = _mac(device)
            body = struct.pack("!BBHI16sBB6s", _ADVERTISE, 0, 0, _OVERRIDE, plain.packed, 2, 1, own)
            _send_ndp(link, device, body, "ff02::1")


def _socket(device: str, version: int) -> socket.socket:
    if version == 4:  # noqa: PLR2004
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETHERTYPE_ARP))
        link.bind((device, _ETHERTYPE_ARP))
        return link
    link = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    return link


def _send_arp(link: socket.socket, what: int, sender: bytes, target: bytes) -> None:
    own = link.getsockname()[4]
    packet = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, what, own, sender, bytes(6), target)
    link.send(struct.pack("!6s6sH", _BROADCAST, own, _ETHERTYPE_ARP) + packet)


def _solicit(link: socket.socket, device: str, target: bytes) -> None:
    body = struct.pack("!BBHI16sBB6s", _SOLICIT, 0, 0, 0, target, 1, 1, _mac(device))
    group = bytes.fromhex("ff0200000000000000000001ff") + target[-3:]
    _send_ndp(link, device, body, socket.inet_ntop(socket.AF_INET6, group))


def _send_ndp(link: socket.socket, device: str, body: bytes, to: str) -> None:
    link.sendto(body, (to, 0, 0, socket.if_nametoindex(device)))


def _answer(link: socket.socket, wanted: bytes) -> str:
    until = time.monotonic() + _PROBE_SECONDS
    while select.select([link], [], [], max(0.0, until - time.monotonic()))[0]:
        packet = link.recv(1500)
        if link.family == socket.AF_PACKET:
            if packet[28:32] == wanted and packet[20:22] in (b"\0\1", b"\0\2"):
                return packet[22:28].hex(":")
        elif packet[0] == _ADVERTISE and packet[8:24] == wanted:
            return packet[26:32].hex(":") or "a neighbour"
    return ""


def _mac(device: str) -> bytes:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((device, 0))
        address: bytes = link.getsockname()[4]
        return address
