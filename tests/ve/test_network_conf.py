"""NETIF as others write it, and the texts that ip, nft and tc are given."""

from ipaddress import ip_network

import pytest

from tests.ve.test_cgroup import ve
from vztmpl.errors import VEError
from vztmpl.ve import interface, neighbours, shaping, veth
from vztmpl.ve.interface import Interface

OPENVZ = (
    "ifname=eth0,bridge=vmbr0,mac=00:18:51:AA:BB:CC,host_ifname=veth101.0,"
    "host_mac=00:18:51:AA:BB:CC,mac_filter=off;ifname=eth1"
)


def test_netif_is_read_as_openvz_writes_it_and_written_so_again() -> None:
    first, second = interface.read(OPENVZ, 101)
    assert first == Interface(
        "eth0", "00:18:51:aa:bb:cc", "veth101.0", "00:18:51:aa:bb:cc", "vmbr0", False
    )
    assert (second.ifname, second.host_ifname, second.bridge) == ("eth1", "veth101.1", "")
    assert second.mac.startswith("00:18:51:")
    assert second.mac_filter
    assert interface.read(interface.write([first, second]), 101) == (first, second)


def test_a_port_never_has_the_address_of_what_is_behind_it() -> None:
    (one,) = interface.read(OPENVZ.partition(";")[0], 101)
    lines = veth._made([one], [], 77)
    assert lines[0].startswith("link add veth101.0 address fe:18:51:aa:bb:cc type veth")
    assert lines[0].endswith("peer name eth0 address 00:18:51:aa:bb:cc netns 77")
    assert lines[1] == "link set veth101.0 master vmbr0"


def test_empty_words_of_netif_add_are_chosen() -> None:
    first = interface.added((), "eth0,,,,br0", 7)
    both = interface.added(first, "eth1", 7)
    assert [one.host_ifname for one in both] == ["veth7.0", "veth7.1"]
    assert first[0].bridge == "br0"
    (left,) = interface.removed(both, "eth0")
    assert interface.added((left,), "eth0", 7)[1].host_ifname == "veth7.0"
    assert interface.removed(both, "all") == ()
    assert len(interface.added((), "eth0", 2147483644)[0].host_ifname) <= 15


@pytest.mark.parametrize(
    "text", ["mac=00:11:22:33:44:55", "ifname=eth0,speed=1", "ifname=a/b", "ifname=eth0,mac=x"]
)
def test_a_netif_that_makes_no_sense_is_an_error(text: str) -> None:
    with pytest.raises(VEError):
        interface.read(text, 101)


def test_one_table_holds_the_filters_and_the_rate_of_a_ve() -> None:
    config = ve()._replace(interfaces=interface.read("ifname=eth0", 101), rate_kbit=800)
    text = shaping.filter_table("ve101", config)
    assert text.startswith("table netdev ve101 {}\ndelete table netdev ve101\n")
    assert text.count("limit rate over 100000 bytes/second") == 2
    assert text.count("ether saddr != 00:18:51") == 1
    assert shaping.bucket("ve101", 800).endswith(
        "root tbf rate 800kbit burst 131072 latency 50ms\n"
    )


def test_only_what_leaves_the_ranges_is_translated() -> None:
    ranges = [ip_network("10.1.0.0/16"), ip_network("fd01::/16")]
    text = shaping.translation_table("ve101", ranges, ["10.1.0.7", "10.1.0.8", "fd01::7"])
    assert "ip saddr { 10.1.0.7, 10.1.0.8 } ip daddr != { 10.1.0.0/16 } masquerade" in text
    assert "ip6 saddr { fd01::7 } ip6 daddr != { fd01::/16 } masquerade" in text
    assert "masquerade" not in shaping.translation_table("ve101", ranges, [])


def test_routes_are_read_as_the_kernel_writes_them() -> None:
    words = ["eth0", "0000050A", "00000000", "0001", "0", "0", "0", "00FFFFFF", "0", "0", "0"]
    assert neighbours._route_v4(words) == ("eth0", "10.5.0.0/24", False)
    words = ["eth0", "00000000", "0200050A", "0003", "0", "0", "0", "00000000", "0", "0", "0"]
    assert neighbours._route_v4(words) == ("eth0", "0.0.0.0/0", True)
    nowhere = "0" * 32
    words = ["fd05" + "0" * 28, "40", nowhere, "00", nowhere, "100", "1", "0", "00000001", "eth0"]
    assert neighbours._route_v6(words) == ("eth0", "fd05::/64", False)
    words[8] = "00200200"
    assert neighbours._route_v6(words) is None


def test_a_missing_bridge_is_refused_before_anything_is_made() -> None:
    text = "ifname=eth0,bridge=no-such-br"
    with pytest.raises(VEError, match="no bridge no-such-br"):
        veth.require(None, ve()._replace(interfaces=interface.read(text, 101)))
