"""Every kind of init is shut down its own way, and tells a reboot from an end."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host
from tests.integration.test_isolation import put

pytestmark = pytest.mark.root

_INITTAB = """id:2:initdefault:
si::sysinit:/bin/touch /run/utmp
l2:2:wait:/bin/sh -c 'echo up >> /var/boots'
l0:0:wait:/bin/sh -c 'echo clean >> /var/ends'
ha:0:wait:/sbin/halt -d -f -p
"""


def left_in(host: Host, name: str) -> str:
    path = host.sysroot / f"vz/private/101/live/upper/var/{name}"
    return path.read_text() if path.exists() else ""


def wait_for(host: Host, status: str, name: str, text: str) -> None:
    until = time.monotonic() + 20
    while not (host.vzctl("status", 101).endswith(status) and left_in(host, name) == text):
        assert time.monotonic() < until, (host.vzctl("status", 101), left_in(host, name))
        time.sleep(0.1)


@pytest.mark.network
def test_sysvinit_is_shut_down_by_its_own_poweroff(tiny: Host, tmp_path: Path) -> None:
    apt = ["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", "sysvinit-core"]
    subprocess.run(apt, cwd=tmp_path, check=True, capture_output=True)
    (package,) = tmp_path.glob("*.deb")
    subprocess.run(["dpkg", "-x", package, tmp_path / "x"], check=True)
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    programs = {f"/bin/{n}": tmp_path / f"x/sbin/{n}" for n in ("init", "halt", "shutdown")}
    inittab = tmp_path / "inittab"
    inittab.write_text(_INITTAB)
    put(
        tiny,
        tmp_path,
        {**programs, "/bin/poweroff": programs["/bin/halt"], "/etc/inittab": inittab},
    )
    tiny.vzctl("start", 101)
    wait_for(tiny, "running\n", "boots", "up\n")
    assert "busybox" not in tiny.inside(101, "readlink /proc/1/exe")
    tiny.vzctl("stop", 101)
    assert left_in(tiny, "ends") == "clean\n"


def test_busybox_reboots_and_ends_by_itself(tiny: Host) -> None:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    tiny.vzctl("start", 101)
    wait_for(tiny, "running\n", "ends", "")
    first = left_in(tiny, "boots")
    tiny.run("vzctl", "exec", 101, "reboot")
    until = time.monotonic() + 20
    while len(left_in(tiny, "boots").split()) != 2 or "running" not in tiny.vzctl("status", 101):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert left_in(tiny, "boots").startswith(first)
    tiny.run("vzctl", "exec", 101, "poweroff")
    wait_for(tiny, "exist unmounted down\n", "ends", "clean\n" * 2)


def test_an_init_that_is_just_a_program_gets_a_sigterm(tiny: Host, tmp_path: Path) -> None:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    init = tmp_path / "init"
    init.write_text(
        "#!/bin/ash\nrm -f /bin/poweroff /bin/halt; trap 'echo clean >> /var/ends; exit 0' TERM\n"
        "echo up >> /var/boots; while :; do sleep 1 & wait $!; done\n"
    )
    init.chmod(0o755)
    ash = tmp_path / "ash"
    shutil.copy("/bin/busybox", ash)
    put(tiny, tmp_path, {"/bin/init": init, "/bin/ash": ash})
    tiny.vzctl("start", 101)
    wait_for(tiny, "running\n", "boots", "up\n")
    tiny.vzctl("stop", 101)
    assert left_in(tiny, "ends") == "clean\n"
