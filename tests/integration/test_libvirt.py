"""libvirt's OpenVZ driver works with our vzctl and vzlist, unchanged.

The driver is in the client, uses absolute paths, and asks for /proc/vz, which no mainline kernel
has. So virsh gets a mount namespace with a /proc of links to the real one beside a /proc/vz, and
with our programs in /usr/sbin; they themselves run outside of it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import NAME
from tests.integration.conftest import BIN, Host, Result

pytestmark = pytest.mark.root
Virsh = Callable[..., Result]

_HARNESS = """
room=$1 sysroot=$2; shift 2
mount --make-rslave /
mkdir -p $room; mount -t tmpfs none $room
for place in etc usr/sbin; do
  mkdir -p $room/$place $room/work/$place
  mount -t overlay o -o lowerdir=/$place,upperdir=$room/$place,workdir=$room/work/$place /$place
done
mkdir -p /etc/vz; mount --bind $sysroot/etc/vz /etc/vz
for name in vzctl vzlist; do cp $sysroot/$name /usr/sbin/$name; done
mkdir $room/proc; mount --rbind /proc $room/proc; mount -t tmpfs none /proc
for entry in $room/proc/*; do ln -s $entry /proc/; done
mkdir /proc/vz; echo "Version: 2.2" > /proc/vz/vestat
exec virsh --connect openvz:///system "$@"
"""
_WRAPPER = """#!/bin/sh
echo "{name} $*" >> {log}
exec nsenter --mount={room}/proc/{pid}/ns/mnt --net={room}/proc/{pid}/ns/net -- \\
    /usr/bin/env VZ_SYSROOT={sysroot} PATH={path} {bin}/{name} "$@"
"""


@pytest.fixture
def virsh(tiny: Host, tmp_path: Path) -> Virsh:
    room = tmp_path / "room"
    (tiny.sysroot / "etc/vz/conf").mkdir(parents=True, exist_ok=True)
    for name in ("vzctl", "vzlist"):
        wrapper = tiny.sysroot / name
        wrapper.write_text(
            _WRAPPER.format(
                name=name, log=tmp_path / "calls", room=room, pid=tiny.network_pid,
                sysroot=tiny.sysroot, path="/usr/sbin:/usr/bin:/sbin:/bin", bin=BIN,
            )
        )  # fmt: skip
        wrapper.chmod(0o755)
    own = ("unshare", "--mount", "--", "sh", "-euc", _HARNESS, "sh", room, tiny.sysroot)
    return lambda *words: tiny.run(*own, *words)


def listed(virsh: Virsh) -> list[str]:
    return [
        " ".join(line.split()) for line in virsh("list", "--all").stdout.splitlines()[2:] if line
    ]


def test_virsh_lists_starts_stops_and_undefines(tiny: Host, virsh: Virsh) -> None:
    assert listed(virsh) == []
    tiny.vzctl("create", 101, "--ostemplate", NAME, "--hostname", "web.example")
    tiny.vzctl("set", 101, "--netif_add", "eth0,,,,br0", "--ipadd", "10.0.0.5", "--save")
    assert listed(virsh) == ["- 101 shut off"]
    tiny.vzctl("set", 101, "--netif_del", "all", "--save")
    started = virsh("start", 101)
    assert started.returncode == 0, started.stderr
    assert listed(virsh) == ["101 101 running"]
    assert virsh("domstate", 101).stdout.strip() == "running"
    assert virsh("domhostname", 101).stdout.strip() == "web.example"
    for words, value in ((("autostart", 101), "yes"), (("autostart", "--disable", 101), "no")):
        assert virsh(*words).returncode == 0
        assert f'ONBOOT="{value}"' in (tiny.sysroot / "etc/vz/conf/101.conf").read_text()
    assert virsh("suspend", 101).returncode == 0
    assert tiny.vzctl("status", 101).endswith("running suspended\n")
    tiny.vzctl("resume", 101)
    assert virsh("reboot", 101).returncode == 0
    assert virsh("shutdown", 101).returncode == 0
    assert listed(virsh) == ["- 101 shut off"]
    assert virsh("undefine", 101).returncode == 0
    assert tiny.vzctl("status", 101) == "CTID 101 deleted unmounted down\n"


def test_the_xml_shows_links_as_libvirt_reads_them(tiny: Host, virsh: Virsh) -> None:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    words = ("--netif_add", "eth0,00:18:51:00:00:01,veth101.0,fe:18:51:00:00:01,br0")
    tiny.vzctl("set", 101, *words, "--save")
    xml = virsh("dumpxml", 101).stdout
    assert re.search(r"<mac address='00:18:51:00:00:01'/>", xml), xml
    assert "<source bridge='br0'/>" in xml
    assert "#UUID: " in (tiny.sysroot / "etc/vz/conf/101.conf").read_text()


_XML = """<domain type='openvz'><name>110</name><memory>65536</memory><os><type>exe</type>
<init>/sbin/init</init></os><devices><interface type='bridge'><mac address='00:18:51:5b:ea:bf'/>
<source bridge='br0'/></interface></devices></domain>"""
_GARBLED = r"\360\275\013@pU"  # for printf: what libvirt 9 gave in place of a name


@pytest.fixture
def default_template(tiny: Host) -> Iterator[None]:
    conf = tiny.sysroot / "etc/vz/vz.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(f'DEF_OSTEMPLATE="{NAME}"\n')
    yield
    conf.unlink()


@pytest.mark.usefixtures("default_template")
def test_virsh_defines_a_ve_with_its_link(tiny: Host, virsh: Virsh, tmp_path: Path) -> None:
    (tmp_path / "110.xml").write_text(_XML)
    defined = virsh("define", tmp_path / "110.xml")
    assert (tiny.sysroot / "etc/vz/conf/110.conf").exists(), defined.stderr
    conf = (tiny.sysroot / "etc/vz/conf/110.conf").read_text()
    assert "mac=00:18:51:5b:ea:bf,host_ifname=veth110.0." in conf, defined.stderr
    assert "- 110 shut off" in listed(virsh)


@pytest.mark.usefixtures("default_template")
def test_a_garbled_template_name_means_the_default_one(tiny: Host) -> None:
    command = f"vzctl create 110 --name 110 --ostemplate \"$(printf '{_GARBLED}')\""
    said = tiny.run("sh", "-c", command)
    assert said.returncode == 0, said.stderr
    assert "not text" in said.stderr
    assert f'OSTEMPLATE="{NAME}"' in (tiny.sysroot / "etc/vz/conf/110.conf").read_text()
