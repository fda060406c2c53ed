"""The node: VEs come up with it in their order, go down cleanly with it, and `make install`."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import NAME, names_in
from tests.integration.conftest import CHECKOUT, Host

pytestmark = pytest.mark.root


def create(host: Host, ctid: int, *options: object, **conf: str) -> Path:
    """Create a tiny VE and append variables to its conf; return the conf."""
    host.vzctl("create", ctid, "--ostemplate", NAME, *options)
    path = host.sysroot / f"etc/vz/conf/{ctid}.conf"
    kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in conf]
    path.write_text("\n".join([*kept, *(f'{key}="{text}"' for key, text in conf.items())]) + "\n")
    return path


@pytest.fixture
def settings(tiny: Host) -> Iterator[Path]:
    """The node's vz.conf, which goes with the test."""
    path = tiny.sysroot / "etc/vz/vz.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('VE_PARALLEL="1"\n')
    yield path
    path.unlink()


def written_by(host: Host, ctid: int, name: str) -> str:
    """What a stopped VE has left in a file of its own."""
    path = host.sysroot / f"vz/private/{ctid}/live/upper/var/{name}"
    return path.read_text() if path.exists() else ""


@pytest.mark.usefixtures("settings")
def test_ves_come_up_with_the_node_in_their_order_and_go_down_cleanly(tiny: Host) -> None:
    create(tiny, 101, ONBOOT="no")
    create(tiny, 102, "--onboot", "yes")
    create(tiny, 103, ONBOOT="")
    create(tiny, 104, ONBOOT="yes", BOOTORDER="7")
    create(tiny, 105, ONBOOT="yes", DISABLED="yes")
    for ctid in (101, 103):
        tiny.vzctl("start", ctid)
    assert tiny.run("vz", "status").returncode == 3
    assert tiny.run("vz", "start").stdout.splitlines() == [
        "starting container 104",
        "starting container 102",
    ]
    status = tiny.run("vz", "status")
    assert (status.returncode, status.stdout) == (0, "OpenVZ is running...\n")
    stopped = tiny.run("vz", "stop")
    assert stopped.stdout.split()[2::3] == ["103", "102", "101", "104"], stopped.stderr
    assert tiny.vzlist("-1") == ""
    assert [written_by(tiny, ctid, "ends") for ctid in (101, 102, 103, 104)] == ["clean\n"] * 4
    assert tiny.run("vz", "status").stdout == "OpenVZ is stopped.\n"
    tiny.run("vz", "start").check_returncode()
    assert tiny.vzlist("-1").split() == ["102", "103", "104"]
    tiny.vzctl("stop", 103)
    tiny.run("vz", "restart").check_returncode()
    assert tiny.vzlist("-1").split() == ["102", "104"]


def test_one_that_does_not_start_holds_up_nobody_and_is_told_of(tiny: Host) -> None:
    create(tiny, 101, ONBOOT="yes", NETIF="ifname=eth0,bridge=none")
    create(tiny, 102, ONBOOT="yes")
    create(tiny, 103, PHYSPAGES="plenty", ONBOOT="yes")
    result = tiny.run("vz", "start")
    assert result.returncode == 1
    assert "no bridge none" in result.stderr
    assert "while starting container 101" in result.stderr
    assert tiny.vzlist("-1").split() == ["102"]
    tiny.run("vz", "stop").check_returncode()
    create(tiny, 104)  # and the conf that makes no sense is mended for the clean-up
    (tiny.sysroot / "etc/vz/conf/103.conf").write_text("")


def test_a_node_goes_down_within_its_bound(tiny: Host, settings: Path) -> None:
    settings.write_text('STOP_ALL_TIMEOUT="1"\nVE_PARALLEL="1"\n')
    for ctid in (101, 102):
        create(tiny, ctid, ONBOOT="yes")
        tiny.vzctl("start", ctid)
        tiny.inside(ctid, "sed -i 's/.*shutdown.*/::shutdown:sleep 600/' /etc/inittab; kill -HUP 1")
    assert tiny.run("vz", "stop").returncode == 0
    assert tiny.vzlist("-1") == ""
    assert tiny.run("vz", "fly").returncode == 2


def test_the_node_waits_for_a_command_that_works_on_a_ve(tiny: Host) -> None:
    create(tiny, 101)
    tiny.vzctl("start", 101)
    lock = tiny.sysroot / "vz/lock/101.lck"
    holder = subprocess.Popen(["flock", lock, "sleep", "1"])
    time.sleep(0.1)
    assert tiny.run("vzctl", "stop", 101).returncode == 9
    assert tiny.run("vz", "stop").returncode == 0
    assert holder.wait() == 0
    assert tiny.vzlist("-1") == ""


def test_the_units_are_what_their_readers_expect() -> None:
    init = CHECKOUT / "systemd/vz.init"
    said = subprocess.run([init, "what"], capture_output=True, text=True, check=False)
    assert (said.returncode, "Usage" in said.stderr) == (2, True)
    assert "# Provides:          vz" in init.read_text()
    unit = (CHECKOUT / "systemd/vz.service").read_text()
    assert "ExecStart=/usr/sbin/vz start\nExecStop=/usr/sbin/vz stop\n" in unit


@pytest.mark.network
def test_make_install_keeps_to_destdir_and_uninstall_keeps_data(tmp_path: Path) -> None:
    def make(target: str) -> None:
        words = ["make", "--silent", target, f"DESTDIR={tmp_path}"]
        subprocess.run(words, cwd=CHECKOUT, check=True, capture_output=True)

    conf = tmp_path / "etc/vz/vz.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("# the admin's\n")
    make("install")
    python = tmp_path / "usr/lib/vztmpl/bin/python3"
    for name in ("sbin/vzctl", "sbin/vzlist", "sbin/vz", "bin/vztmpl"):
        program = tmp_path / "usr" / name
        assert program.read_text().startswith("#!/usr/lib/vztmpl/bin/python3 -I\n")
        assert str(tmp_path) not in program.read_text()
        run = [str(python), "-I", str(program), "--help"]
        subprocess.run(run, env={"LC_ALL": "C"}, check=True, capture_output=True)
    assert conf.read_text() == "# the admin's\n"
    assert (tmp_path / "etc/vz/conf/ve-vswap-1g.conf-sample").exists()
    assert (tmp_path / "etc/init.d/vz").stat().st_mode & 0o111
    assert "vztmpl" in names_in(tmp_path / "usr/lib")
    make("uninstall")
    left = [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()]
    assert {path.relative_to(tmp_path).parts[:2] for path in left} == {("etc", "vz")}


def test_ves_start_where_run_allows_no_devices(tiny: Host) -> None:
    """As systemd mounts it."""
    run = tiny.sysroot / "run"
    run.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nodev,nosuid", "run", run], check=True)
    try:
        create(tiny, 101, FEATURES="fuse:on")
        tiny.vzctl("start", 101)
        assert tiny.inside(101, "exec 3<>/dev/fuse && echo opened") == "opened"
        tiny.vzctl("stop", 101, "--fast")
    finally:
        subprocess.run(["umount", run], check=True)
