"""venet: the host and its VEs reach each other, and nobody takes another's address."""

import pytest

from tests.integration.conftest import Host

pytestmark = pytest.mark.root
STANDARD = "debian-12-x86_64-standard"
_REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 3)
except ConnectionRefusedError:
    print("reached")
"""


def test_host_and_ves_reach_each_other(host: Host) -> None:
    host.boot(101, STANDARD, "--ipadd", "10.0.0.101", "--nameserver", "10.9.9.9")
    host.boot(102, STANDARD, "--ipadd", "10.0.0.102")
    assert host.run("python3", "-c", _REACH, "10.0.0.101").stdout == "reached\n"
    # as a user: ping needs its file capability, which pack and unpack have to keep
    assert "1 received" in host.inside(101, "su -s /bin/sh nobody -c 'ping -c1 -W2 10.0.0.102'")
    assert "1 received" in host.inside(102, "ping -c1 -W2 10.9.9.9")
    assert host.inside(101, "cat /etc/resolv.conf") == "nameserver 10.9.9.9"


def test_addresses_come_and_go_while_it_runs(host: Host) -> None:
    host.boot(101, STANDARD)
    host.vzctl("set", 101, "--ipadd", "10.0.0.7", "--ipadd", "fd00::7", "--save")
    assert host.run("python3", "-c", _REACH, "10.0.0.7").stdout == "reached\n"
    assert "fd00::7/128" in host.inside(101, "ip -brief address show venet0")
    host.vzctl("set", 101, "--ipdel", "10.0.0.7", "--save")
    assert "10.0.0.7" not in host.inside(101, "ip -brief address show venet0")
    assert "10.0.0.7" not in host.run("ip", "route").stdout
    host.vzctl("create", 102, "--ostemplate", STANDARD)
    assert host.run("vzctl", "set", 102, "--ipadd", "fd00::7", "--save").returncode == 78


def test_a_ve_can_not_use_an_address_of_another(host: Host) -> None:
    host.boot(101, STANDARD, "--ipadd", "10.0.0.101")
    host.boot(102, STANDARD, "--ipadd", "10.0.0.102")
    host.inside(
        102, "ip address add 10.0.0.101/32 dev venet0; ip address add 10.0.0.99/32 dev venet0"
    )
    lost = host.run("vzctl", "exec2", 102, "ping -c1 -W1 -I 10.0.0.99 10.9.9.9")
    assert "0 received" in lost.stdout
    assert "1 received" in host.inside(101, "ping -c1 -W2 -I 10.0.0.101 10.9.9.9")


def test_ssh_host_keys_differ_between_ves(host: Host) -> None:
    host.boot(101, STANDARD)
    host.boot(102, STANDARD)
    keys = [
        host.inside(ctid, "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub") for ctid in (101, 102)
    ]
    ids = [host.inside(ctid, "cat /etc/machine-id") for ctid in (101, 102)]
    assert keys[0] != keys[1]
    assert ids[0] != ids[1]
    assert len(ids[0]) == 32
