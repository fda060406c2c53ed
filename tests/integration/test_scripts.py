"""The host's scripts around and inside a VE, and passwords in it, whether it runs or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host, left_behind

pytestmark = pytest.mark.root
HOST_EVENTS = ("premount", "mount", "umount", "postumount")


@pytest.fixture
def ve(tiny: Host) -> Host:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    return tiny


@pytest.fixture
def scripts(ve: Host, tmp_path: Path) -> Iterator[Path]:
    """Action scripts for every event, and the log that those on the host write."""
    log = tmp_path / "log"
    conf = ve.sysroot / "etc/vz/conf"
    made = []
    for who in ("vps", "101"):
        for event in HOST_EVENTS:
            made.append(conf / f"{who}.{event}")
            mounted = f"[ -e {ve.sysroot}/vz/root/$VEID/etc/passwd ] && echo mounted || echo not"
            text = f'#!/bin/sh\n(echo {who}.{event} "$VEID" "$VE_CONFFILE"; {mounted}) >> {log}\n'
            made[-1].write_text(text)
            made[-1].chmod(0o755)
    for event in ("start", "stop"):
        made.append(conf / f"101.{event}")
        made[-1].write_text(f"echo {event} $(cat /proc/1/comm) >> /var/log\n")
    yield log
    for path in made:
        path.unlink(missing_ok=True)


def test_action_scripts_run_in_openvzs_order(ve: Host, scripts: Path) -> None:
    ve.vzctl("start", 101)
    assert ve.inside(101, "cat /var/log") == "start init"
    ve.vzctl("stop", 101)
    conf = ve.sysroot / "etc/vz/conf/101.conf"
    expected = []
    for event, state in zip(HOST_EVENTS, ("not", "mounted", "mounted", "not"), strict=True):
        for who in ("vps", "101"):
            expected += [f"{who}.{event} 101 {conf}", state]
    assert scripts.read_text().splitlines() == expected
    log = ve.sysroot / "vz/private/101/live/upper/var/log"
    assert log.read_text() == "start init\nstop init\n"
    scripts.unlink()
    ve.vzctl("mount", 101)
    ve.vzctl("umount", 101)
    assert [line.split()[0] for line in scripts.read_text().splitlines()[::2]] == [
        f"{who}.{event}" for event in HOST_EVENTS for who in ("vps", "101")
    ]


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize("name", ["vps.premount", "101.mount", "101.start"])
def test_a_script_that_fails_ends_the_start_with_79_and_leaves_nothing(ve: Host, name: str) -> None:
    script = ve.sysroot / f"etc/vz/conf/{name}"
    script.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    result = ve.run("vzctl", "start", 101)
    assert result.returncode == 79
    assert str(script) in result.stderr
    assert "no luck" in result.stderr
    assert ve.vzctl("status", 101) == "CTID 101 exist unmounted down\n"
    assert left_behind(ve) == []


@pytest.mark.usefixtures("scripts")
def test_a_script_that_can_not_be_run_is_named(ve: Host) -> None:
    (ve.sysroot / "etc/vz/conf/vps.premount").chmod(0o644)
    result = ve.run("vzctl", "start", 101)
    assert (result.returncode, "not executable" in result.stderr) == (79, True)


@pytest.mark.parametrize("running", [True, False])
def test_a_script_of_the_hosts_runs_inside(ve: Host, tmp_path: Path, running: bool) -> None:
    if running:
        ve.vzctl("start", 101)
    script = tmp_path / "script"
    script.write_text('#!/bin/awk -f\n{ print $1, ENVIRON["container"]; exit 7 }\n')
    result = ve.run("vzctl", "runscript", 101, script, stdin="words given\n")
    assert (result.stdout, result.returncode) == ("words vztmpl\n", 7), result.stderr
    script.write_text("echo by a shell: $2 $#; ls -A /tmp; exit 0\n")
    assert ve.vzctl("runscript", 101, script, "a", "b c") == "by a shell: b c 2\n"
    relative = ve.run("env", f"--chdir={tmp_path}", "vzctl", "runscript", 101, "script", "a", "b")
    assert (relative.stdout, relative.returncode) == ("by a shell: b 2\n", 0), relative.stderr
    assert ("running" in ve.vzctl("status", 101)) == running
    assert ve.run("vzctl", "runscript", 101, tmp_path / "none").returncode == 11
    assert not (ve.sysroot / "vz/private/101/live/upper/var/boots").exists() or running


@pytest.mark.parametrize("running", [True, False])
def test_a_password_is_set_inside_only(host: Host, running: bool) -> None:
    before = Path("/etc/shadow").read_bytes()
    host.vzctl("create", 101, "--ostemplate", "debian-12-x86_64-minimal")
    if running:
        host.vzctl("start", 101)
    host.vzctl("set", 101, "--userpasswd", "daemon:secret words")
    assert host.run("vzctl", "set", 101, "--userpasswd", "nobody-here:x").returncode == 74
    assert host.run("vzctl", "set", 101, "--userpasswd", "user").returncode == 20
    if not running:
        host.vzctl("start", 101)
    lines = host.inside(101, "cat /etc/shadow").splitlines()
    assert [line for line in lines if line.partition(":")[2].startswith("$")] == [
        line for line in lines if line.startswith("daemon:$")
    ]
    assert len([line for line in lines if line.startswith("daemon:$")]) == 1
    assert Path("/etc/shadow").read_bytes() == before


def test_exec3_needs_no_shell(ve: Host) -> None:
    ve.vzctl("start", 101)
    assert ve.vzctl("exec3", 101, "echo", "$HOME  x", "") == "$HOME  x \n"
    assert ve.run("vzctl", "exec3", 101, "sh", "-c", "exit 9").returncode == 9
