"""What a VE's conf changes of its isolation: capabilities, features, devices, packet filter."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host

pytestmark = pytest.mark.root


@pytest.fixture
def ve(tiny: Host) -> Host:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    return tiny


def capabilities(host: Host) -> int:
    return int(host.inside(101, "awk '/CapBnd/ { print $2 }' /proc/1/status"), 16)


def test_capabilities_are_taken_and_given(ve: Host) -> None:
    ve.vzctl("start", 101)
    before = capabilities(ve)
    refused = ve.run("vzctl", "set", 101, "--capability", "mknod:off", "--save")
    assert (refused.returncode, "--setmode" in refused.stderr) == (32, True)
    words = ("--capability", "mknod:off", "--capability", "CAP_SYS_TIME:on,sys_ptrace:off")
    ve.vzctl("set", 101, *words, "--save", "--setmode", "restart")
    assert capabilities(ve) == before & ~(1 << 27) & ~(1 << 19) | (1 << 25)
    ve.vzctl("set", 101, "--capability", "mknod:on", "--save", "--setmode", "ignore")
    assert not capabilities(ve) & (1 << 27)
    conf = (ve.sysroot / "etc/vz/conf/101.conf").read_text()
    assert 'CAPABILITY="mknod:on,sys_time:on,sys_ptrace:off"' in conf


def test_features_bring_their_devices_and_nothing_else(ve: Host) -> None:
    ve.vzctl("set", 101, "--features", "fuse:on,tun:on", "--save")
    ve.vzctl("start", 101)
    ve.inside(101, "ip tuntap add tap0 mode tap || tunctl -t tap0")
    assert "tap0" in ve.inside(101, "ls /sys/class/net")
    assert ve.inside(101, "exec 3<>/dev/fuse && echo opened") == "opened"
    assert Path("/dev/fuse").stat().st_uid == 0
    ve.vzctl("set", 101, "--features", "tun:off", "--save", "--setmode", "restart")
    assert ve.run("vzctl", "exec", 101, "test -e /dev/net/tun").returncode == 8
    assert ve.run("vzctl", "exec", 101, "test -e /dev/fuse").returncode == 0


def test_a_device_is_readable_or_writable_as_the_conf_says(ve: Host) -> None:
    ve.vzctl("set", 101, "--devnodes", "loop-control:r", "--devices", "c:1:9:rw", "--save")
    ve.vzctl("start", 101)
    assert ve.inside(101, "head -c8 /dev/urandom | wc -c") == "8"
    assert ve.run("vzctl", "exec", 101, ": < /dev/loop-control").returncode == 0
    assert ve.run("vzctl", "exec", 101, "chmod 666 /dev/loop-control").returncode == 8
    assert ve.run("vzctl", "exec", 101, "exec 3>/dev/loop-control").returncode == 8
    assert ve.run("vzctl", "exec", 101, "su user -c ': < /dev/loop-control'").returncode == 8
    ve.vzctl("set", 101, "--devnodes", "loop-control:none", "--save", "--setmode", "restart")
    assert ve.run("vzctl", "exec", 101, "test -e /dev/loop-control").returncode == 8
    ve.vzctl("stop", 101, "--fast")
    ve.vzctl("set", 101, "--devnodes", "no-such-device:rw", "--save")
    result = ve.run("vzctl", "start", 101)
    assert (result.returncode, "no device /dev/no-such-device" in result.stderr) == (86, True)


def test_a_ve_without_a_packet_filter_can_make_none(ve: Host, tmp_path: Path) -> None:
    with_libraries("/usr/sbin/nft", ve, tmp_path)
    ve.vzctl("start", 101)
    rule = "nft add table inet mine && nft list tables"
    assert ve.inside(101, rule) == "table inet mine"
    assert "mine" not in ve.run("nft", "list", "tables").stdout
    ve.vzctl("set", 101, "--netfilter", "disabled", "--save", "--setmode", "restart")
    assert ve.run("vzctl", "exec", 101, rule).returncode == 8
    ve.inside(101, "ip address add 10.0.0.7/32 dev lo")


_UNPACK = """#!/bin/sh
mkdir /t; tar -C /t -xf -; cd /t
find . -type f | while read -r file; do
  mkdir -p "/${file%/*}"; rm -f "/$file"; mv "$file" "/$file"
done
rm -rf /t
"""


def with_libraries(program: str, host: Host, folder: Path) -> None:
    put(host, folder, {f"/usr/local/bin/{Path(program).name}": Path(program)})


def put(host: Host, folder: Path, files: Mapping[str, Path]) -> None:
    """Put files, and the libraries of programs among them, into a VE that does not run."""
    tree = folder / "tree"
    for name, source in files.items():
        said = subprocess.run(["ldd", source], text=True, capture_output=True, check=False).stdout
        libraries = {word: Path(word) for word in said.split() if word.startswith("/")}
        for place, origin in {**libraries, name: source}.items():
            target = tree / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, target)
    packed = folder / "tree.tar"
    subprocess.run(["tar", "-C", tree, "-cf", packed, "."], check=True)
    script = folder / "unpack"
    script.write_text(_UNPACK)
    with packed.open("rb") as source_file:
        words = [*host.prefix, "vzctl", "runscript", "101", str(script)]
        subprocess.run(words, env=host.whole_env, stdin=source_file, check=True)


_BUNDLE = """
mkdir -p /c/rootfs/bin; cp /bin/busybox /c/rootfs/bin/; cd /c
ln -s busybox rootfs/bin/sh
crun spec --rootless >/dev/null 2>&1 || crun spec
sed -i 's/"terminal": true/"terminal": false/' config.json
sed -i 's/"sh"$/"sh", "-c", "echo nested $$ $(busybox mount | busybox grep -c proc)"/' config.json
crun --cgroup-manager=disabled run inner
"""


def test_a_ve_with_nesting_runs_containers_of_its_own(ve: Host, tmp_path: Path) -> None:
    with_libraries("/usr/bin/crun", ve, tmp_path)
    ve.vzctl("start", 101)
    assert "nested" not in ve.run("vzctl", "exec2", 101, _BUNDLE).stdout
    ve.vzctl("set", 101, "--features", "nesting:on", "--save", "--setmode", "restart")
    said = ve.run("vzctl", "exec2", 101, "rm -rf /c;" + _BUNDLE)
    assert said.stdout.startswith("nested 1 "), said.stdout + said.stderr


WRONG = [
    (("--capability", "fly:on"), 21, "no capability"),
    (("--capability", "mknod"), 21, "mknod:on"),
    (("--capability", "mknod:maybe"), 21, "mknod:on"),
    (("--features", "nfs:on"), 21, "user namespace"),
    (("--features", "warp:on"), 21, "no feature"),
    (("--devices", "all:rw"), 21, "not a device"),
    (("--devices", "b:8:all:rw"), 21, "not a device"),
    (("--devices", "x:8:0:rw"), 21, "not a device"),
    (("--devnodes", "../sda:rw"), 21, "not a device"),
    (("--devnodes", "net/../sda:rw"), 21, "not a device"),
    (("--devnodes", "sda:x"), 21, "not a device"),
    (("--devnodes", ""), 21, "no device"),
    (("--netfilter", "some"), 21, "none of"),
    (("--setmode", "later", "--netfilter", "full"), 21, "restart or ignore"),
    (("--bootorder", "first"), 21, "number"),
    (("--userpasswd", ":x"), 20, "USER:PASSWORD"),
]


def test_what_makes_no_sense_is_refused_and_nothing_changes(ve: Host) -> None:
    conf = ve.sysroot / "etc/vz/conf/101.conf"
    before = conf.read_text()
    for options, code, says in WRONG:
        result = ve.run("vzctl", "set", 101, *options, "--save")
        assert (result.returncode, says in result.stderr) == (code, True), (options, result.stderr)
    assert conf.read_text() == before


def test_what_no_kernel_can_give_is_said_at_start(ve: Host) -> None:
    with (ve.sysroot / "etc/vz/conf/101.conf").open("a") as conf:
        conf.write('FEATURES="nfs:on"\n')
    assert "WARNING: FEATURES: nfs can't be given" in ve.run("vzctl", "start", 101).stderr


def test_the_node_itself_has_cpu_units(ve: Host) -> None:
    ve.vzctl("set", 0, "--cpuunits", "500", "--save")
    ve.vzctl("start", 101)
    folder = ve.group("cpu", 101).parent
    file = folder / ("cpu.weight" if (folder / "cpu.weight").exists() else "cpu.shares")
    usual = 100 if file.name == "cpu.weight" else 1024
    assert int(file.read_text()) == 2 * usual
    ve.vzctl("set", 0, "--cpuunits", "1000")
    assert int(file.read_text()) == usual
    assert "not saved" in ve.run("vzctl", "set", 0, "--cpuunits", "500").stderr
    ve.vzctl("restart", 101)
    assert int(file.read_text()) == 2 * usual
    (ve.sysroot / "run/vztmpl/0/unsaved").unlink()
    (ve.sysroot / "etc/vz/conf/0.conf").unlink()
    assert ve.run("vzctl", "set", 0, "--physpages", "1G").returncode == 21
    assert ve.run("vzctl", "stop", 0).returncode == 21
