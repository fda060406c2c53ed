"""A suspended VE stands still, and nothing but resuming or ending it touches it."""

import time

import pytest

from tests.fakes import NAME
from tests.integration.conftest import Host

pytestmark = pytest.mark.root


@pytest.fixture
def ve(tiny: Host) -> Host:
    tiny.vzctl("create", 101, "--ostemplate", NAME)
    tiny.vzctl("start", 101)
    return tiny


def ticks(host: Host) -> int:
    path = host.sysroot / "vz/private/101/live/upper/var/ticks"
    return len(path.read_text()) if path.exists() else 0


@pytest.mark.parametrize(
    ("suspend", "resume"),
    [
        (("suspend", 101), ("resume", 101)),
        (("chkpnt", 101, "--suspend"), ("chkpnt", 101, "--resume")),
    ],
)
def test_a_suspended_ve_stands_still_until_it_is_resumed(
    ve: Host, suspend: tuple[object, ...], resume: tuple[object, ...]
) -> None:
    ve.inside(101, "(while :; do printf x >> /var/ticks; usleep 10000; done) >/dev/null 2>&1 &")
    ve.vzctl(*suspend)
    still = ticks(ve)
    time.sleep(0.3)
    assert ticks(ve) == still
    assert ve.vzctl("status", 101) == "CTID 101 exist mounted running suspended\n"
    refused = ve.run("vzctl", "exec", 101, "true")
    assert (refused.returncode, "suspended" in refused.stderr) == (31, True)
    assert ve.run("vzctl", *suspend).returncode == 16
    ve.vzctl(*resume)
    time.sleep(0.3)
    assert ticks(ve) > still
    assert ve.run("vzctl", *resume).returncode == 17


@pytest.mark.parametrize("options", [(), ("--fast",)])
def test_a_suspended_ve_can_be_stopped(ve: Host, options: tuple[str, ...]) -> None:
    ve.vzctl("suspend", 101)
    ve.vzctl("stop", 101, *options)
    assert ve.vzctl("status", 101) == "CTID 101 exist unmounted down\n"


def test_what_needs_criu_is_refused_with_a_reason(ve: Host) -> None:
    for words, code in ((("chkpnt", 101), 16), (("restore", 101, "--undump"), 17)):
        result = ve.run("vzctl", *words)
        assert (result.returncode, "CRIU" in result.stderr) == (code, True)
    assert "running" in ve.vzctl("status", 101)
    assert ve.run("vzctl", "suspend", 102).returncode == 31
