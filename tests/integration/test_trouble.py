"""Killed commands, full disks, hostile trees: nothing half-made, nothing left, no repair needed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import NAME as TINY
from tests.integration.conftest import BIN, SIGNER, Host, call, left_behind

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"
MOMENTS = [milliseconds / 1000 for milliseconds in range(30, 190, 16)]


def kill_after(host: Host, seconds: float, *words: object, number: int = signal.SIGKILL) -> int:
    """Start a command, kill just its own process after a while, and return its status."""
    command = [*host.prefix, *map(str, words)]
    env = {**host.env, "PATH": f"{BIN}:{os.environ['PATH']}"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, **quiet) as process:  # type: ignore[call-overload]
        time.sleep(seconds)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert b"Traceback" not in said, said.decode()
    return int(process.returncode)


@pytest.mark.parametrize("seconds", MOMENTS)
def test_a_killed_start_is_undone_by_the_next(host: Host, seconds: float) -> None:
    host.vzctl("create", 101, "--ostemplate", MINIMAL, "--ipadd", "10.0.0.101")
    kill_after(host, seconds, "vzctl", "start", 101)
    time.sleep(0.2)  # what it had started goes on for a moment
    if "running" not in host.vzctl("status", 101):
        host.vzctl("start", 101)
    assert host.wait_running(101) == "running"


@pytest.mark.parametrize("seconds", MOMENTS[::3])
def test_a_ve_is_destroyed_after_a_killed_start(host: Host, seconds: float) -> None:
    host.vzctl("create", 101, "--ostemplate", MINIMAL, "--ipadd", "10.0.0.101")
    kill_after(host, seconds, "vzctl", "start", 101)
    time.sleep(0.2)
    host.vzctl("stop", 101, "--fast")
    host.vzctl("destroy", 101)
    assert left_behind(host) == []


@pytest.mark.parametrize("seconds", MOMENTS[::2])
def test_a_killed_stop_is_finished_by_the_next(host: Host, seconds: float) -> None:
    host.boot(101, MINIMAL)
    kill_after(host, seconds, "vzctl", "stop", 101)
    host.vzctl("stop", 101)
    assert host.vzctl("status", 101) == "CTID 101 exist unmounted down\n"
    assert left_behind(host) == []


@pytest.mark.parametrize("seconds", MOMENTS[::2])
def test_killed_creates_and_destroys_need_no_repair(host: Host, seconds: float) -> None:
    kill_after(host, seconds, "vzctl", "create", 101, "--ostemplate", MINIMAL)
    if "deleted" in host.vzctl("status", 101):
        host.vzctl("create", 101, "--ostemplate", MINIMAL)
    kill_after(host, seconds, "vzctl", "destroy", 101)
    result = host.run("vzctl", "destroy", 101)
    assert result.returncode in (0, 14), result.stderr
    host.vzctl("create", 101, "--ostemplate", MINIMAL)


def test_two_at_once_are_told_apart(host: Host) -> None:
    host.boot(101, MINIMAL)
    env = {**host.env, "PATH": f"{BIN}:{os.environ['PATH']}"}
    commands = [
        subprocess.Popen([*host.prefix, "vzctl", "stop", "101"], env=env, stdout=-3, stderr=-3)
        for _ in range(2)
    ]
    assert sorted(command.wait(60) for command in commands) in ([0, 9], [0, 0])
    assert host.vzctl("status", 101) == "CTID 101 exist unmounted down\n"


@contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[None]:
    at.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def test_a_full_disk_leaves_no_base_and_no_ve(host: Host) -> None:
    bases = host.sysroot / "vz/template/base"
    with small_disk(bases, 50):
        result = host.run("vzctl", "create", 101, "--ostemplate", MINIMAL)
        assert result.returncode == 3
        assert "disk is full" in result.stderr
        assert list(bases.iterdir()) == []
        assert "deleted" in host.vzctl("status", 101)


def test_a_full_disk_fails_a_fetch_and_keeps_what_was_there(
    host: Host, repository: Path, tmp_path: Path
) -> None:
    other = Host(tmp_path, host.network_pid)
    key = repository / "key.asc"
    with small_disk(tmp_path / "vz", 30):
        other.run("vztmpl", "remote", "add", "r", f"file://{repository}", "--key", key)
        result = other.run("vztmpl", "fetch", MINIMAL)
        assert (result.returncode, "disk is full" in result.stderr) == (1, True), result.stderr
        cached = (tmp_path / "vz/template/cache").iterdir()
        assert [path for path in cached if not path.name.startswith(".")] == []
    assert other.run("vztmpl", "fetch", MINIMAL).returncode == 0


def test_links_in_a_ve_lead_the_host_nowhere(host: Host, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    host.boot(101, MINIMAL, "--hostname", "one")
    for name in ("hostname", "hosts", "resolv.conf", "resolv.conf.vzctl"):
        host.inside(101, f"ln -sf {'../' * 12}{victim} /etc/{name}")
    host.vzctl("set", 101, "--hostname", "two", "--nameserver", "10.9.9.9", "--save")
    assert host.inside(101, "cat /etc/hostname") == "two"
    host.inside(101, f"rm -rf /etc/hosts; ln -s {tmp_path} /etc/hosts")
    host.vzctl("restart", 101)
    host.inside(101, f"mv /etc /etc.old; ln -s {tmp_path} /etc")
    host.run("vzctl", "set", 101, "--hostname", "three", "--save")
    assert victim.read_text() == "untouched"
    assert list(tmp_path.iterdir()) == [victim]


def test_a_run_folder_that_is_a_link_leads_the_host_nowhere(host: Host, tmp_path: Path) -> None:
    host.vzctl("create", 101, "--ostemplate", MINIMAL)
    upper = host.sysroot / "vz/private/101/live/upper"
    (upper / "run").symlink_to(tmp_path)
    os.lchown(upper / "run", upper.stat().st_uid, upper.stat().st_gid)
    assert "Traceback" not in host.run("vzctl", "start", 101).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_ves_root_can_not_change_the_hosts_devices(host: Host) -> None:
    host.boot(101, MINIMAL)
    host.run("vzctl", "exec", 101, "chmod 000 /dev/null /dev/zero; mknod /dev/sda b 8 0")
    for name in ("null", "zero"):
        assert Path(f"/dev/{name}").stat().st_mode & 0o777 == 0o666
        assert Path(f"/dev/{name}").stat().st_uid == 0
    assert host.run("vzctl", "exec", 101, "test -b /dev/sda").returncode == 8
    assert host.run("vzctl", "exec", 101, "echo b > /proc/sysrq-trigger").returncode == 8
    assert host.run("vzctl", "exec", 101, "echo x > /proc/sys/kernel/core_pattern").returncode == 8


@pytest.mark.usefixtures("templates")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_build_that_is_cut_short_leaves_nothing(tmp_path: Path, number: int, status: int) -> None:
    env = {**os.environ, **SIGNER, "PATH": f"{BIN}:{os.environ['PATH']}"}
    # env: a shell that runs the tests in the background has its children ignore ^C
    command = ["env", "--default-signal=INT", "vztmpl", "build", MINIMAL, "--out", str(tmp_path)]
    command += ["--no-cache"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr
        begun = b""
        while b"bootstrapping" not in begun:
            begun += (letter := process.stderr.read(1))
            assert letter, begun.decode()
        time.sleep(2)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == status, said
    assert "Traceback" not in said
    time.sleep(0.5)
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    trees = Path(SIGNER["VZ_SYSROOT"]) / "var/lib/vztmpl/build"
    alive = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.fsencode(trees) in _content(path)
    ]
    assert alive == []
    assert str(trees) not in Path("/proc/self/mountinfo").read_text()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path, templates: Path) -> None:
    again = call("vztmpl", "build", MINIMAL, "--out", tmp_path, env=SIGNER)
    assert again.returncode == 0, again.stderr
    first, second = (
        (folder / f"{MINIMAL}.tar.zst").read_bytes() for folder in (templates, tmp_path)
    )
    assert first == second


def test_on_a_busy_host_every_program_runs_in_its_ves_group(tiny: Host) -> None:
    tiny.vzctl("create", 101, "--ostemplate", TINY)
    tiny.vzctl("start", 101)
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(6)]
    try:
        groups = {tiny.inside(101, "grep ^0:: /proc/self/cgroup") for _ in range(30)}
    finally:
        for one in busy:
            one.kill()
            one.wait()
    assert groups == {"0::/"}
