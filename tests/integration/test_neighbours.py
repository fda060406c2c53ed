"""A VE that takes all it can get: its neighbour and the host go on as if nothing were."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Host, left_behind

pytestmark = pytest.mark.root
MINIMAL = "debian-12-x86_64-minimal"
HOG, NEIGHBOUR = 101, 102
BOUNDS = ("--ram", "128M", "--swap", "0", "--numproc", 90, "--numtcpsock", 30, "--numpty", 5)


@pytest.fixture(scope="module")
def street(node: Host) -> Iterator[Host]:
    """A node with a bounded VE, 101, and its neighbour, 102."""
    node.boot(HOG, MINIMAL, *BOUNDS, "--cpulimit", "40")
    node.boot(NEIGHBOUR, MINIMAL, *BOUNDS)
    yield node
    for ctid in (HOG, NEIGHBOUR):
        node.run("vzctl", "stop", ctid, "--fast")
        node.vzctl("destroy", ctid)
    assert left_behind(node) == []


def hog(host: Host, command: str, counter: str) -> None:
    """Start something greedy in VE 101, and wait until it is refused something."""
    counted = int(failed(host, HOG, counter))
    host.run("vzctl", "exec", HOG, f"({command}) >/dev/null 2>&1 &")
    for _ in range(100):
        if int(failed(host, HOG, counter)) > counted:
            return
        host.run("sleep", "0.1")
    pytest.fail(f"{counter} was never refused")


def failed(host: Host, ctid: int, counter: str) -> str:
    return host.vzlist("-H", "-o", f"{counter}.f", ctid).strip()


def neighbour_lives(host: Host) -> None:
    """The neighbour gets processes, memory, sockets and terminals, and was refused nothing."""
    work = (
        'perl -MSocket -e "\\$m = q(x) x (40 << 20); for (1..20) { fork or exit; wait }'
        " for (1..20) { socket(my \\$s, PF_INET, SOCK_STREAM, 0) or die; push @s, \\$s }"
        " for (1..3) { open(my \\$p, q(+<), q(/dev/ptmx)) or die; push @s, \\$p }"
        ' print scalar @s"'
    )
    assert host.inside(NEIGHBOUR, work) == "23"
    for counter in ("numproc", "numtcpsock", "physpages", "oomguarpages"):
        assert failed(host, NEIGHBOUR, counter) == "0"


def end(host: Host) -> None:
    """A VE full of hogs can still be stopped, and comes back."""
    host.vzctl("stop", HOG, "--fast")
    host.vzctl("start", HOG)
    assert host.wait_running(HOG) == "running"


def test_a_fork_bomb_stays_in_its_ve(street: Host) -> None:
    hog(street, "bomb() { bomb | bomb & }; bomb", "numproc")
    neighbour_lives(street)
    assert int(street.vzlist("-H", "-o", "numproc", HOG)) <= 90
    end(street)


def test_a_memory_hog_is_killed_in_its_ve(street: Host) -> None:
    greedy = 'while :; do perl -e "\\$m .= q(x) x (8 << 20) while 1"; done'
    hog(street, greedy, "oomguarpages")
    neighbour_lives(street)
    assert int(street.vzlist("-H", "-o", "physpages", HOG)) <= 128 * 256
    end(street)


def test_a_hog_of_sockets_and_terminals_stays_in_its_ve(street: Host) -> None:
    greedy = (
        'perl -MSocket -e "while (1) { socket(my \\$s, PF_INET, SOCK_STREAM, 0); push @s, \\$s;'
        ' open(my \\$p, q(+<), q(/dev/ptmx)); push @s, \\$p; select undef, undef, undef, 0.01 }"'
    )
    hog(street, greedy, "numtcpsock")
    neighbour_lives(street)
    assert street.vzlist("-H", "-o", "numtcpsock,numpty", HOG).split() == ["30", "5"]
    assert street.run("python3", "-c", "import os; os.openpty()").returncode == 0
    end(street)
