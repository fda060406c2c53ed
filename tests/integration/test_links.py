"""Bridged links, the host's own networks, rates and NAT, in network namespaces of the tests'."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host, Result, own_network
from tests.integration.test_trouble import kill_after

pytestmark = pytest.mark.root


def ve(host: Host, ctid: int, *options: object) -> None:
    host.vzctl("create", ctid, "--ostemplate", NAME)
    if options:
        host.vzctl("set", ctid, *options, "--save")
    host.vzctl("start", ctid)


def reaches(host: Host, ctid: int, address: str, *options: str) -> bool:
    """Say whether a VE gets an answer from an address, which may take it a moment to find."""
    return echoed(
        lambda ping: host.run("vzctl", "exec2", ctid, " ".join((*ping, *options, address)))
    )


def echoed(run: Callable[[Sequence[str]], Result]) -> bool:
    ping = ("ping", "-c1", "-W1")
    return any("1 packets received" in run(ping).stdout for _ in range(3))


@pytest.fixture
def bridge(tiny: Host) -> Iterator[str]:
    tiny.run("ip", "link", "add", "br0", "type", "bridge").check_returncode()
    tiny.run("ip", "link", "set", "br0", "up").check_returncode()
    tiny.run("ip", "address", "add", "10.7.0.1/24", "dev", "br0").check_returncode()
    yield "br0"
    tiny.run("ip", "link", "delete", "br0").check_returncode()


def test_ves_on_a_bridge_reach_each_other_and_the_host(tiny: Host, bridge: str) -> None:
    for ctid in (101, 102):
        ve(tiny, ctid, "--netif_add", f"eth0,,,,{bridge}")
        tiny.inside(ctid, f"ip address add 10.7.0.{ctid}/24 dev eth0")
    assert reaches(tiny, 101, "10.7.0.102")
    assert reaches(tiny, 102, "10.7.0.1")
    assert "default" not in tiny.inside(101, "ip route")


def test_links_come_go_and_change_while_it_runs(tiny: Host, bridge: str) -> None:
    ve(tiny, 101)
    conf = tiny.sysroot / "etc/vz/conf/101.conf"
    added = "eth0,00:18:51:00:00:01,veth101.0.,fe:18:51:00:00:01"
    tiny.vzctl("set", 101, "--netif_add", added, "--netif_add", "eth1", "--save")
    assert (
        'NETIF="ifname=eth0,mac=00:18:51:00:00:01,host_ifname=veth101.0.,'
        "host_mac=fe:18:51:00:00:01,mac_filter=on;ifname=eth1,mac=00:18:51:"
    ) in conf.read_text()
    tiny.inside(101, "ip address add 10.7.0.5/24 dev eth0")
    assert not reaches(tiny, 101, "10.7.0.1")
    tiny.vzctl("set", 101, "--ifname", "eth0", "--bridge", bridge, "--save")
    assert reaches(tiny, 101, "10.7.0.1")  # still the same link, with its address
    tiny.vzctl("set", 101, "--ifname", "eth1", "--mac", "00:18:51:00:00:09", "--save")
    assert tiny.inside(101, "cat /sys/class/net/eth1/address") == "00:18:51:00:00:09"
    tiny.vzctl("set", 101, "--netif_del", "eth0", "--save")
    assert "eth0" not in tiny.inside(101, "ls /sys/class/net")
    assert "veth101.0." not in tiny.run("ip", "-brief", "link").stdout
    tiny.vzctl("set", 101, "--netif_del", "all", "--save")
    tiny.vzctl("restart", 101)
    assert tiny.inside(101, "ls /sys/class/net").split() == ["lo", "venet0"]


def test_a_mac_filter_takes_frames_of_the_links_own_address_only(tiny: Host, bridge: str) -> None:
    ve(tiny, 101, "--netif_add", f"eth0,00:18:51:00:00:01,,,{bridge}")
    other = (
        "ip link set eth0 down; ip link set eth0 address 00:18:51:00:00:02;"
        " ip link set eth0 up; ip address replace 10.7.0.5/24 dev eth0"
    )
    tiny.inside(101, other)
    assert not reaches(tiny, 101, "10.7.0.1")
    tiny.vzctl("set", 101, "--ifname", "eth0", "--mac_filter", "off", "--save")
    assert reaches(tiny, 101, "10.7.0.1")


WRONG = [
    (("--netif_add", "eth0,,,,br9"), 130, "no bridge br9"),
    (("--netif_add", "eth0,01:00:00:00:00:01"), 21, "MAC address"),
    (("--netif_add", "eth0,nonsense"), 21, "MAC address"),
    (("--netif_add", "a,,,,,,b"), 21, "is not ifname"),
    (("--netif_add", "a b"), 21, "name of an interface"),
    (("--netif_add", "venet0"), 21, "every VE has"),
    (("--netif_add", "eth0", "--netif_add", "eth0"), 21, "taken"),
    (("--netif_add", "eth0,,a-name-that-is-too-long"), 21, "name of an interface"),
    (("--netif_del", "eth7"), 130, "no interface 'eth7'"),
    (("--ifname", "eth7", "--bridge", "br0"), 130, "no interface 'eth7'"),
    (("--bridge", "br0"), 20, "--ifname"),
    (("--ifname", "eth0"), 20, "--ifname"),
    (("--netdev_add", "nothing0"), 104, "no link nothing0"),
    (("--netdev_add", "../x"), 21, "name of an interface"),
    (("--rate", "fast"), 21, "device:class:kbit"),
    (("--rate", "a:b"), 21, "device:class:kbit"),
    (("--netif_add", ""), 21, "name of an interface"),
]


def test_what_is_no_link_is_refused_and_nothing_changes(tiny: Host) -> None:
    ve(tiny, 101)
    conf = tiny.sysroot / "etc/vz/conf/101.conf"
    before = conf.read_text(), tiny.run("ip", "-brief", "link").stdout
    for options, code, says in WRONG:
        result = tiny.run("vzctl", "set", 101, *options, "--save")
        assert (result.returncode, says in result.stderr) == (code, True), (options, result.stderr)
    assert (conf.read_text(), tiny.run("ip", "-brief", "link").stdout) == before


def test_a_start_without_its_bridge_fails_and_leaves_nothing(tiny: Host) -> None:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    with (tiny.sysroot / "etc/vz/conf/101.conf").open("a") as conf:
        conf.write('NETIF="ifname=eth0,bridge=br9,mac=00:18:51:00:00:01"\n')
    result = tiny.run("vzctl", "start", 101)
    assert (result.returncode, "no bridge br9" in result.stderr) == (130, True)


def test_the_name_of_anothers_link_is_refused_and_the_link_stays(tiny: Host) -> None:
    ve(tiny, 101, "--netif_add", "eth0")
    tiny.vzctl("create", 102, "--ostemplate", NAME)
    tiny.vzctl("set", 102, "--netif_add", "eth0,,veth101.0", "--save")
    result = tiny.run("vzctl", "start", 102)
    assert (result.returncode, "has a link veth101.0" in result.stderr) == (130, True)
    assert "veth101.0" in tiny.run("ip", "-brief", "link").stdout


def test_a_link_of_the_hosts_is_lent_to_a_ve(tiny: Host) -> None:
    tiny.run("ip", "link", "add", "lent0", "type", "veth", "peer", "name", "lent1")
    ve(tiny, 101)
    tiny.vzctl("set", 101, "--netdev_add", "lent0", "--save")
    assert "lent0" in tiny.inside(101, "ls /sys/class/net")
    assert "lent0@" not in tiny.run("ip", "-brief", "link").stdout
    tiny.vzctl("set", 101, "--netdev_del", "lent0", "--save")
    assert "lent0" not in tiny.inside(101, "ls /sys/class/net")
    tiny.run("ip", "link", "delete", "lent0").check_returncode()


def test_a_rate_holds_both_ways_and_can_not_be_lifted_from_inside(tiny: Host) -> None:
    ve(tiny, 101, "--ipadd", "10.0.0.101")
    burst = "ping -c 300 -i 0.002 -s 1400 -W 1 -q 10.9.9.9"
    assert " 300 packets received" in tiny.run("vzctl", "exec2", 101, burst).stdout
    tiny.vzctl("set", 101, "--rate", "venet0:1:100", "--save")
    assert "tbf" in tiny.run("tc", "qdisc").stdout
    tiny.run("vzctl", "exec", 101, "tc qdisc del dev venet0 root; nft flush ruleset")
    said = tiny.run("vzctl", "exec2", 101, burst).stdout
    received = int(said.partition(" packets received")[0].split()[-1])
    assert 20 < received < 200, said
    tiny.vzctl("set", 101, "--rate", "0", "--save")
    assert "tbf" not in tiny.run("tc", "qdisc").stdout
    assert "limit" not in tiny.run("nft", "list", "ruleset").stdout


class Lan:
    """A network that the host is on, with one neighbour."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *words]
        return subprocess.run(command, text=True, capture_output=True, check=False)

    def reaches(self, address: str) -> bool:
        return echoed(lambda ping: self.run("busybox", *ping, address))


@pytest.fixture
def lan(tiny: Host) -> Iterator[Lan]:
    with own_network() as pid:
        neighbour = Lan(pid)
        peer = ("type", "veth", "peer", "name", "eth0", "netns", str(pid))
        tiny.run("ip", "link", "add", "lan0", *peer).check_returncode()
        for address in ("10.5.0.1/24", "fd05::1/64"):
            tiny.run("ip", "address", "add", address, "dev", "lan0", "nodad")
        tiny.run("ip", "link", "set", "lan0", "up")
        for address in ("10.5.0.2/24", "10.5.0.99/24", "fd05::2/64", "fd05::99/64"):
            neighbour.run("ip", "address", "add", address, "dev", "eth0", "nodad")
        neighbour.run("ip", "link", "set", "eth0", "up")
        yield neighbour
    tiny.run("ip", "link", "delete", "lan0")


@pytest.fixture
def vz_conf(tiny: Host) -> Iterator[Path]:
    path = tiny.sysroot / "etc/vz/vz.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


def test_the_host_answers_its_neighbours_for_its_ves(tiny: Host, lan: Lan) -> None:
    ve(tiny, 101, "--ipadd", "10.5.0.77", "--ipadd", "fd05::77")
    assert lan.reaches("10.5.0.77")
    assert lan.reaches("fd05::77")
    assert reaches(tiny, 101, "10.5.0.2", "-I", "10.5.0.77")
    tiny.vzctl("set", 101, "--ipdel", "10.5.0.77", "--ipadd", "10.5.0.78", "--save")
    assert not lan.reaches("10.5.0.77")
    assert lan.reaches("10.5.0.78")
    assert "10.5.0.78" in tiny.run("ip", "neighbour", "show", "proxy").stdout
    tiny.vzctl("stop", 101, "--fast")
    for family in ("-4", "-6"):
        assert tiny.run("ip", family, "neighbour", "show", "proxy").stdout == ""


@pytest.mark.parametrize("address", ["10.5.0.99", "fd05::99"])
def test_an_address_that_a_neighbour_has_is_refused(
    tiny: Host, lan: Lan, vz_conf: Path, address: str
) -> None:
    mac = lan.run("ip", "-brief", "link", "show", "dev", "eth0").stdout.split()[2]
    tiny.vzctl("create", 101, "--ostemplate", NAME, "--ipadd", address)
    result = tiny.run("vzctl", "start", 101)
    assert (result.returncode, f"in use on lan0 by {mac}" in result.stderr) == (78, True), result
    vz_conf.write_text('SKIP_ARPDETECT="yes"\n')
    tiny.vzctl("start", 101)
    tiny.vzctl("stop", 101, "--fast")
    vz_conf.write_text('NEIGHBOUR_DEVS="list:"\n')
    tiny.vzctl("start", 101)
    assert tiny.run("ip", "neighbour", "show", "proxy").stdout == ""


def test_private_addresses_go_out_under_the_hosts_own(tiny: Host, lan: Lan, vz_conf: Path) -> None:
    tiny.run("ip", "route", "add", "default", "via", "10.5.0.2").check_returncode()
    ve(tiny, 101, "--ipadd", "10.101.0.1")
    assert not reaches(tiny, 101, "10.5.0.99")
    vz_conf.write_text('NAT_RANGES="10.101.0.0/16 fd01::/16"\n')
    tiny.vzctl("restart", 101)
    ve(tiny, 102, "--ipadd", "10.101.0.2")
    assert reaches(tiny, 101, "10.5.0.99")
    assert reaches(tiny, 102, "10.101.0.1")
    assert lan.run("ip", "route", "get", "10.101.0.1").returncode != 0
    vz_conf.write_text('NAT_RANGES="everything"\n')
    result = tiny.run("vzctl", "restart", 102)
    assert (result.returncode, "NAT_RANGES" in result.stderr) == (3, True)


@pytest.mark.parametrize("seconds", [0.06, 0.1, 0.14, 0.18, 0.22])
def test_a_killed_start_with_all_kinds_of_links_leaves_nothing(
    tiny: Host, bridge: str, lan: Lan, seconds: float
) -> None:
    assert lan.pid
    tiny.vzctl("create", 101, "--ostemplate", NAME, "--ipadd", "10.5.0.77")
    words = ("--netif_add", f"eth0,,,,{bridge}", "--rate", "800", "--features", "tun:on")
    tiny.vzctl("set", 101, *words, "--save")
    kill_after(tiny, seconds, "vzctl", "start", 101)
    time.sleep(0.2)  # what it had started goes on for a moment
    tiny.vzctl("stop", 101, "--fast")
    assert tiny.run("ip", "neighbour", "show", "proxy").stdout == ""
    assert tiny.run("nft", "list", "ruleset").stdout == ""
    assert "veth101" not in tiny.run("ip", "-brief", "link").stdout
    tiny.vzctl("start", 101)


@pytest.fixture
def whole_machine(tiny: Host, tmp_path: Path) -> Iterator[Host]:
    """A node without VZ_SYSROOT, in a mount namespace where its folders are memory."""
    command = (
        "mount --make-rslave /; mount -t tmpfs run /run; mount -t tmpfs room $0;"
        " for d in etc var/lib var/log; do mkdir -p $0/$d $0/w/$d;"
        " mount -t overlay o -o lowerdir=/$d,upperdir=$0/$d,workdir=$0/w/$d /$d; done;"
        " mkdir -p /etc/vz $0/vz/template; cp -r $1 $0/vz/template/cache;"
        ' for n in TEMPLATE=template "VE_ROOT=root/\\$VEID" "VE_PRIVATE=private/\\$VEID"'
        ' LOCKDIR=lock; do echo "${n%=*}=\\"$0/vz/${n#*=}\\""; done > /etc/vz/vz.conf;'
        " echo; exec sleep infinity"
    )
    words = ["unshare", "--mount", "--", "sh", "-euc", command, tmp_path]
    cache = tiny.sysroot / "vz/template/cache"
    enter = [*tiny.prefix, *map(str, words), str(cache)]
    with subprocess.Popen(enter, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        yield WholeMachine(tmp_path, holder.pid)
        holder.kill()


class WholeMachine(Host):
    @property
    def env(self) -> dict[str, str]:
        return {}

    @property
    def prefix(self) -> tuple[str, ...]:
        spaces = Path(f"/proc/{self.network_pid}/ns")
        return ("nsenter", f"--mount={spaces}/mnt", f"--net={spaces}/net", "--")


def test_ip_netns_knows_ves_by_their_numbers(whole_machine: Host) -> None:
    ctid = 90101
    try:
        whole_machine.vzctl("create", ctid, "--ostemplate", NAME, "--ipadd", "10.0.0.9")
        whole_machine.vzctl("start", ctid)
        said = whole_machine.run("ip", "netns", "exec", ctid, "ip", "-brief", "address")
        assert "10.0.0.9/32" in said.stdout, said.stderr
        assert f"ve{ctid}" in whole_machine.run("ip", "-brief", "link").stdout
    finally:
        whole_machine.run("vzctl", "stop", ctid, "--fast")
    assert whole_machine.run("ip", "netns").stdout == ""
    whole_machine.vzctl("destroy", ctid)
