"""lxc-create with the templates ``download`` and ``local``, and what it makes booted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published, clean_after_lxc, facts, privately, run
from tests.fakes import FakeServer, web_server
from tests.integration.conftest import SIGNER, call, templates  # noqa: F401 - one is a fixture

pytestmark = pytest.mark.root
WAIT = "for i in $(seq 300); do systemctl is-system-running --wait && break; sleep 0.05; done"


class Lxc:
    """Containers below a folder of their own, under names that no other test has."""

    def __init__(self, folder: Path, certificate: Path) -> None:
        self._containers = folder / "lxc"
        self._containers.mkdir()
        self._config = folder / "empty.conf"
        self._config.write_text("lxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\n")
        (folder / "wgetrc").write_text(f"ca_certificate={certificate}.crt\n")
        self._env = {"WGETRC": str(folder / "wgetrc"), "LXC_CACHE_PATH": str(folder / "cache")}
        self.name = f"vz-{abs(hash(folder)):x}"

    def create(self, template: str, *options: object) -> Path:
        """Make the container and return its root; what the template caches is not kept."""
        cache = Path(self._env["LXC_CACHE_PATH"])
        cache.mkdir(exist_ok=True)
        hidden = f'mkdir -p /var/cache/lxc; mount --bind {cache} /var/cache/lxc; exec "$@"'
        words = ("-f", self._config, "-t", template, "--", *options)
        self._run("create", *words, below=privately("sh", "-c", hidden, "sh"))
        return self._containers / self.name / "rootfs"

    def download(self, server: FakeServer, *wanted: str) -> Path:
        host = server.url.removeprefix("https://")
        return self.create("download", "--server", host, "-a", "amd64", *wanted)

    def start(self) -> None:
        self._run("start")

    def inside(self, *words: str, check: bool = True) -> str:
        return self._run("attach", "--clear-env", "--", *words, check=check)

    def config(self) -> str:
        return (self._containers / self.name / "config").read_text()

    def stop(self) -> None:
        self._run("stop", "-k", check=False)
        clean_after_lxc(self._containers)

    def _run(
        self, verb: str, *words: object, below: tuple[object, ...] = (), check: bool = True
    ) -> str:
        which = ("-P", self._containers, "-n", self.name)
        return run(*below, f"lxc-{verb}", *which, *words, env=self._env, check=check)


@pytest.fixture
def lxc(tmp_path: Path, certificate: Path) -> Iterator[Lxc]:
    containers = Lxc(tmp_path, certificate)
    yield containers
    containers.stop()


def test_a_template_is_downloaded_over_https_and_boots(published: Published, lxc: Lxc) -> None:
    tree = lxc.download(published.https, "-d", "busybox", "-r", "1")
    (tree / "dev/pts").rmdir()  # LXC's own
    assert facts(tree) == published.system
    lxc.start()
    assert lxc.inside("/bin/cat", "/etc/serial") == f"{NEW}\n"


def test_a_template_is_unpacked_from_local_files(published: Published, lxc: Lxc) -> None:
    images = published.folder / f"images/{NAME}/{OLD}"
    files = ("--metadata", images / "meta.tar.xz", "--fstree", images / "rootfs.tar.xz")
    assert (lxc.create("local", *files) / "etc/serial").read_text() == f"{OLD}\n"
    assert "lxc.arch = x86_64" in lxc.config()


def test_an_oci_image_is_unpacked_and_boots(published: Published, lxc: Lxc) -> None:
    tree = lxc.create("oci", "--url", f"oci:{published.folder}/oci/{NAME}:latest")
    assert (tree / "bin/setuid").stat().st_mode & 0o4000
    lxc.start()
    assert lxc.inside("/bin/cat", "/etc/serial") == f"{NEW}\n"


def test_a_real_debian_comes_up_with_no_failed_unit(
    templates: Path,  # noqa: F811
    lxc: Lxc,
    certificate: Path,
    tmp_path: Path,
) -> None:
    archive = templates / "debian-12-x86_64-minimal.tar.zst"
    repository = tmp_path / "www"
    call("vztmpl", "publish", repository, archive, "--formats", "lxc", env=SIGNER, check=True)
    with web_server(repository, certificate) as https:
        lxc.download(https, "-d", "debian", "-r", "12", "--variant", "minimal")
    lxc.start()
    said = lxc.inside("sh", "-c", WAIT, check=False)
    assert said.split()[-1:] == ["running"], lxc.inside("systemctl", "--failed", "--no-legend")
    assert lxc.inside("hostname") == f"{lxc.name}\n"
