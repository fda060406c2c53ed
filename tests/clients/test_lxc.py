"""lxc-create with the templates ``download`` and ``local``."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published, facts, run

pytestmark = pytest.mark.root


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[Path]:
    """A folder for containers; none runs on, and LXC's empty group does not stay."""
    folder = tmp_path / "lxc"
    folder.mkdir()
    (tmp_path / "empty.conf").write_text(
        "lxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\n"
    )
    yield folder
    for container in folder.iterdir():
        run("lxc-stop", "-P", folder, "-n", container.name, "-k", check=False)
    for pivot in Path("/sys/fs/cgroup").glob("**/lxc.pivot"):
        with suppress(OSError):
            pivot.rmdir()


def create(
    containers: Path, name: str, template: str, *options: object, env: dict[str, str]
) -> Path:
    config = containers.parent / "empty.conf"
    run(
        "lxc-create",
        "-P",
        containers,
        "-n",
        name,
        "-f",
        config,
        "-t",
        template,
        "--",
        *options,
        env=env,
    )
    return containers / name / "rootfs"


def test_a_template_is_downloaded_over_https_and_boots(
    published: Published, containers: Path, tmp_path: Path
) -> None:
    (tmp_path / "wgetrc").write_text(f"ca_certificate={published.certificate}.crt\n")
    env = {"WGETRC": str(tmp_path / "wgetrc"), "LXC_CACHE_PATH": str(tmp_path / "cache")}
    server = published.https.url.removeprefix("https://")
    wanted = ("-d", "busybox", "-r", "1", "-a", "amd64")
    tree = create(containers, "d", "download", "--server", server, *wanted, env=env)
    (tree / "dev/pts").rmdir()  # LXC's own
    assert facts(tree) == published.system
    run("lxc-start", "-P", containers, "-n", "d")
    inside = run("lxc-attach", "-P", containers, "-n", "d", "--", "/bin/cat", "/etc/serial")
    assert inside == f"{NEW}\n"
    run("lxc-stop", "-P", containers, "-n", "d", "-k")


def test_a_template_is_unpacked_from_local_files(published: Published, containers: Path) -> None:
    images = published.folder / f"images/{NAME}/{OLD}"
    files = ("--metadata", images / "meta.tar.xz", "--fstree", images / "rootfs.tar.xz")
    tree = create(containers, "l", "local", *files, env={})
    assert (tree / "etc/serial").read_text() == f"{OLD}\n"
    assert "lxc.arch = x86_64" in (containers / "l/config").read_text()
