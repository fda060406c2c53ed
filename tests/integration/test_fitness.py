"""One template for all: in a VE, in another engine, and in a machine of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Host

pytestmark = pytest.mark.root
MINIMAL, STANDARD = "debian-12-x86_64-minimal", "debian-12-x86_64-standard"
GENERATOR = "/usr/local/lib/systemd/system-generators/vztmpl-container"
_UNPRIVILEGED = """
lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf
lxc.rootfs.path = dir:/mnt/ve/rootfs
lxc.rootfs.options = idmap=container
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
"""
_BOOT = """
mount --make-rprivate /; mount --bind "$1" /mnt; set -- /mnt
for file in /etc/subuid /etc/subgid; do [ ! -e $file ] || mount --bind "$1/ids" $file; done
trap 'lxc-stop -P "$1" -n ve -k' EXIT
lxc-start -P "$1" -n ve --daemon --logfile "$1/log" || { cat "$1/log"; exit 1; }
i=0; until [ $((i+=1)) -gt 100 ] || lxc-attach -P "$1" -n ve -- \
    systemctl is-system-running --wait 2>/dev/null | grep -E 'running|degraded'; do sleep 0.1; done
lxc-attach -P "$1" -n ve -- systemctl --failed --no-legend
lxc-attach -P "$1" -n ve -- systemctl show --property=LoadState --value systemd-pstore.service
"""


@pytest.fixture
def lxc(host: Host, tmp_path: Path) -> Iterator[Path]:
    """A folder for LXC that holds a container made of the minimal template."""
    (tmp_path / "ve").mkdir()
    tmp_path.chmod(0o755)
    host.vzctl("create", 101, "--ostemplate", MINIMAL)
    base = (host.sysroot / "vz/private/101/live/base").resolve()
    subprocess.run(["cp", "--archive", base, tmp_path / "ve/rootfs"], check=True)
    (tmp_path / "ve/config").write_text(_UNPRIVILEGED)
    (tmp_path / "ids").write_text("root:100000:65536\n")
    yield tmp_path
    shutil.rmtree(tmp_path / "ve")
    for group in Path("/sys/fs/cgroup").glob("*/lxc.pivot"):
        if not group.parent.is_symlink():
            group.rmdir()


def test_an_unprivileged_lxc_container_boots_from_it(lxc: Path) -> None:
    command = ["unshare", "--mount", "--net", "--", "sh", "-ec", _BOOT, "sh", str(lxc)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["running", "masked"], done.stdout + done.stderr


def test_what_a_container_can_not_do_is_left_out_in_a_container_only(host: Host) -> None:
    host.boot(101, MINIMAL)
    assert "systemd-udevd" not in host.inside(101, "ls /etc/systemd/system")
    generate = (
        "mount -t tmpfs t /run; mkdir /run/out; {} {} /run/out /run/out /run/out; ls /run/out"
    )
    for found, masked in (("vm:kvm", False), ("none", False), ("container:lxc", True)):
        there = generate.format(f"SYSTEMD_VIRTUALIZATION={found}", GENERATOR)
        listed = host.inside(101, f"unshare --mount sh -ec '{there}'").split()
        assert ("systemd-udevd.service" in listed) is masked, found


def test_every_ve_makes_ssh_host_keys_of_its_own(host: Host) -> None:
    keys = set()
    for ctid in (101, 102):
        host.boot(ctid, STANDARD)
        keys.add(host.inside(ctid, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[1])
        assert host.inside(ctid, "systemctl is-active ssh.service") == "active"
    assert len(keys) == 2
    assert host.inside(101, "cat /etc/machine-id") != host.inside(102, "cat /etc/machine-id")
