"""What vzctl says without a VE, and the lines that it gives to other programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ve.test_cgroup import ve
from vztmpl.cli import vzctl
from vztmpl.errors import VEError
from vztmpl.ve import network, parameters
from vztmpl.ve.inside import hosts_text, resolver_text
from vztmpl.ve.spec import spec

BIN = Path(sys.executable).parent


def test_help_says_its_version_first_even_without_an_environment() -> None:
    result = subprocess.run(
        [BIN / "vzctl", "--help"], env={"LC_ALL": "C"}, capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("vzctl version 4.11.1\n")
    assert result.stderr == ""


@pytest.mark.parametrize("name", [name for name in vzctl.VERBS if name != "init-ended"])
def test_every_verb_teaches_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert vzctl.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: vzctl {name} CTID")
    assert "Example: vzctl" in shown


def test_the_link_has_one_mac_address_and_no_arp() -> None:
    make, up = network.link_commands("ve101", 101, 77)
    assert make.count("address 02:01:00:00:00:65 arp off") == 2
    assert make.endswith("netns 77")
    assert up == "link set ve101 addrgenmode none up"
    assert network.route("add", "ve101", "fd00::1") == "route add fd00::1/128 dev ve101"
    assert network.address("delete", "10.0.0.1") == "address delete 10.0.0.1/32 dev venet0"


@pytest.mark.parametrize("text", ["10.0.0.0/8", "0.0.0.0", "224.0.0.1", "::1", "web", "", "10.1"])
def test_what_can_not_be_a_ves_address_is_refused(text: str) -> None:
    with pytest.raises(VEError):
        parameters.address(text)


def test_addresses_are_written_in_one_way() -> None:
    assert parameters.address("10.0.0.1/32") == "10.0.0.1"
    assert parameters.address("FD00:0:0::1") == "fd00::1"


def test_hosts_keeps_other_lines_and_has_one_of_ours() -> None:
    once = hosts_text("127.0.0.1\tlocalhost\n", "web.example")
    twice = hosts_text(once, "db")
    assert once == "127.0.0.1\tlocalhost\n127.0.1.1\tweb.example web\t# by vzctl\n"
    assert twice == "127.0.0.1\tlocalhost\n127.0.1.1\tdb\t# by vzctl\n"


def test_the_resolver_is_the_hosts_when_inherited(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    inherit = ve()._replace(nameservers=("inherit",))
    assert resolver_text(inherit, tmp_path / "resolv.conf") == "nameserver 192.0.2.1\n"
    assert resolver_text(ve(), tmp_path / "resolv.conf") == ""


def test_a_ve_gets_every_namespace_and_none_of_the_hosts_ids() -> None:
    linux = spec(ve(), "name", "/mnt", "vz/101", init=("/sbin/init",), devices={})["linux"]
    kinds = {namespace["type"] for namespace in linux["namespaces"]}
    assert kinds == {"pid", "mount", "uts", "ipc", "network", "cgroup", "user"}
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1 << 29, "size": 65536}]
    assert linux["seccomp"]["syscalls"][0]["action"] == "SCMP_ACT_ERRNO"
