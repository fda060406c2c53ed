"""The life of a VE, from create to destroy, on real Debian."""

import json
import time
from collections.abc import Callable

import pytest

from tests.integration.conftest import Host

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"


@pytest.mark.parametrize("release", [12, 13])
def test_debian_reaches_running_with_no_failed_unit(host: Host, release: int) -> None:
    host.boot(101, f"debian-{release}-x86_64-minimal")
    assert host.inside(101, "systemctl --failed --no-legend") == ""
    assert host.inside(101, ". /etc/os-release; echo $VERSION_ID") == str(release)
    host.vzctl("stop", 101)
    assert host.vzctl("status", 101) == "CTID 101 exist unmounted down\n"
    host.vzctl("destroy", 101)
    assert host.vzctl("status", 101) == "CTID 101 deleted unmounted down\n"


def test_a_ve_sees_nothing_but_itself(host: Host) -> None:
    host.boot(101, MINIMAL, "--hostname", "one.example")
    host.boot(102, MINIMAL, "--hostname", "two.example")
    host.inside(102, "systemd-run --quiet sleep 987654; ipcmk -Q >/dev/null")
    seen = host.inside(101, "ps -eo args --no-headers")
    assert "/sbin/init" in seen.splitlines()[0]
    assert "987654" in host.inside(102, "ps -eo args")
    assert "987654" not in seen
    assert "conmon" not in seen
    assert host.inside(101, "hostname") == "one.example"
    assert host.inside(101, "ls /sys/class/net").split() == ["lo", "venet0"]
    assert host.inside(101, "ipcs -q | grep -c 0x || true") == "0"
    assert host.inside(102, "ipcs -q | grep -c 0x || true") == "1"
    assert int(host.inside(101, "cut -c11-22 /proc/self/uid_map")) >= 1 << 29
    assert host.inside(101, "tail -1 /proc/self/cgroup") == "0::/"


def test_power_off_from_inside_stops_and_reboot_starts_again(host: Host) -> None:
    host.boot(101, MINIMAL)
    before = host.inside(101, "cat /proc/1/stat | cut -d' ' -f22")
    host.run("vzctl", "exec", 101, "systemctl reboot")
    wait_for(
        host, "CTID 101 exist mounted running\n", lambda: boot_time(host) not in (None, before)
    )
    assert host.wait_running(101) == "running"
    host.run("vzctl", "exec", 101, "systemctl poweroff")
    wait_for(host, "CTID 101 exist unmounted down\n", lambda: True)


def boot_time(host: Host) -> str | None:
    result = host.run("vzctl", "exec2", 101, "cut -d' ' -f22 /proc/1/stat")
    return result.stdout.strip() if result.returncode == 0 else None


def wait_for(host: Host, status: str, also: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not (host.vzctl("status", 101) == status and also()):
        assert time.monotonic() < until, host.vzctl("status", 101)
        time.sleep(0.1)


def test_changes_survive_a_restart_and_the_base_stays_as_it_was(host: Host) -> None:
    host.boot(101, MINIMAL)
    host.inside(101, "echo mine > /root/file; rm /etc/issue")
    host.vzctl("restart", 101)
    assert host.inside(101, "cat /root/file; ls /etc/issue 2>&1 || true").startswith("mine")
    host.vzctl("create", 102, "--ostemplate", MINIMAL)
    host.vzctl("mount", 102)
    root = host.sysroot / "vz/root/102"
    assert (root / "etc/issue").exists()
    assert not (root / "root/file").exists()
    host.vzctl("umount", 102)


def test_systemd_is_told_what_a_ve_has_no_use_for(host: Host) -> None:
    host.boot(101, MINIMAL)
    for unit in ("systemd-tmpfiles-setup-dev.service", "systemd-binfmt.service"):
        state = host.run("vzctl", "exec2", 101, f"systemctl is-enabled {unit}").stdout.strip()
        assert state == "masked-runtime", unit
    host.inside(101, "systemctl unmask --runtime systemd-binfmt.service")
    assert (
        host.run("vzctl", "exec2", 101, "systemctl is-enabled systemd-binfmt.service").stdout
        == "static\n"
    )


def test_exec_gives_eight_exec2_the_commands_own_status(host: Host) -> None:
    host.boot(101, MINIMAL)
    assert host.run("vzctl", "exec", 101, "exit 5").returncode == 8
    assert host.run("vzctl", "exec2", 101, "exit 5").returncode == 5
    assert host.vzctl("exec", 101, "-", stdin="echo from stdin\n") == "from stdin\n"
    assert host.vzctl("exec", 101, "echo", "a  b", ">&2") == ""
    assert (
        host.vzctl("enter", 101, stdin="echo $0; exit\n").splitlines()[0] == "entered into CT 101"
    )


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("fly", 101), 20, "Bad command: fly"),
        (("start",), 21, "CT ID missing"),
        (("start", "no such name"), 21, "Bad CT ID"),
        (("start", 777), 14, "config file does not exist"),
        (("exec", 101, "true"), 31, "not running"),
        (("destroy", 777), 14, "config file does not exist"),
        (("create", 101, "--ostemplate", MINIMAL), 44, "already exists"),
        (("create", 102, "--ostemplate", "debian-99-x86_64"), 91, "debian-99-x86_64"),
        (("create", 102, "--ostemplate", "../../etc"), 20, "not a template name"),
        (("create", 102), 29, "OS template"),
        (("set", 101, "--physpages", "lots", "--save"), 21, "lots"),
        (("set", 101, "--no-such-option"), 20, "no-such-option"),
        (("set", 101, "--hostname", "a b", "--save"), 70, "a b"),
        (("set", 101, "--description", '"; touch /x; "', "--save"), 21, "plain text"),
        (("set", 101, "--ipadd", "10.0.0.300", "--save"), 71, "10.0.0.300"),
        (("set", 101, "--numproc", "0", "--save"), 21, "nothing"),
        (("set", 101, "--numproc", "10"), 31, "--save"),
        (("umount", 101), 40, "not mounted"),
    ],
)
def test_what_can_not_be_done_is_said_with_openvz_code(
    host: Host, words: tuple[object, ...], code: int, says: str
) -> None:
    host.vzctl("create", 101, "--ostemplate", MINIMAL)
    conf = (host.sysroot / "etc/vz/conf/101.conf").read_bytes()
    result = host.run("vzctl", *words)
    assert (result.returncode, says in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr
    assert (host.sysroot / "etc/vz/conf/101.conf").read_bytes() == conf
    assert not (host.sysroot / "vz/private/102").exists()


def test_a_running_ve_is_neither_started_nor_destroyed(host: Host) -> None:
    host.boot(101, MINIMAL)
    assert host.run("vzctl", "start", 101).returncode == 32
    assert host.run("vzctl", "destroy", 101).returncode == 32
    assert host.run("vzctl", "umount", 101).returncode == 32
    assert host.vzctl("status", 101) == "CTID 101 exist mounted running\n"


def test_vzlist_tells_what_is_there(host: Host) -> None:
    assert host.run("vzlist").returncode == 0
    host.boot(101, MINIMAL, "--name", "web", "--hostname", "web.example")
    host.vzctl("create", 102, "--ostemplate", MINIMAL)
    assert host.vzlist("-a", "-ovpsid,status", "-H") == "       101 running\n       102 stopped\n"
    assert host.vzlist("-1").split() == ["101"]
    (one,) = json.loads(host.vzlist("-j", "web"))
    assert one["ctid"] == 101
    assert one["numproc"]["held"] > 1
    assert host.run("vzlist", 777).returncode == 1
    host.vzctl("set", "web", "--onboot", "yes", "--save")
    assert 'ONBOOT="yes"' in (host.sysroot / "etc/vz/conf/101.conf").read_text()


def test_the_console_is_kept(host: Host) -> None:
    host.boot(101, MINIMAL)
    log = host.sysroot / "var/log/vztmpl/101.console.log"
    assert "Welcome to" in log.read_text()
