"""skopeo, umoci, podman and a registry."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published, capabilities, facts, privately, run
from tests.fakes import Signer
from vztmpl.template.manifest import Manifest
from vztmpl.template.signature import verify_detached

pytestmark = pytest.mark.root
# crun refuses a host that has control groups of both versions: here it sees one.
_HIDE = '! mountpoint -q /sys/fs/cgroup/unified || umount -l /sys/fs/cgroup/unified; exec "$@"'
ALLOW = {"default": [{"type": "insecureAcceptAnything"}]}


def layout(published: Published) -> str:
    return f"oci:{published.folder}/oci/{NAME}"


@pytest.mark.parametrize(("tag", "serial"), [(OLD, OLD), (NEW, NEW), ("latest", NEW)])
def test_skopeo_reads_each_build_under_its_tag(published: Published, tag: str, serial: str) -> None:
    config = json.loads(run("skopeo", "inspect", "--config", f"{layout(published)}:{tag}"))
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == serial
    assert config["config"]["Cmd"] == ["/sbin/init"]
    assert config["config"]["StopSignal"] == "SIGRTMIN+3"
    manifest = published.folder / f"templates/{NAME}/{serial}/{NAME}.json"
    digest = Manifest.parse(manifest.read_bytes(), "x").digest
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]


def test_skopeo_finds_every_digest_right(published: Published, tmp_path: Path) -> None:
    run("skopeo", "copy", f"{layout(published)}:latest", f"dir:{tmp_path}/copy")


def test_umoci_unpacks_it_whole(published: Published, tmp_path: Path) -> None:
    image = f"{published.folder}/oci/{NAME}:latest"
    run("umoci", "raw", "unpack", "--image", image, tmp_path / "tree")
    assert facts(tmp_path / "tree") == published.system
    assert capabilities(tmp_path / "tree")


@pytest.fixture
def podman() -> Iterator[tuple[object, ...]]:
    """podman with storage of its own, under a short path: it wants no more than 50 letters."""
    with TemporaryDirectory(prefix="vz-") as folder:
        places = [f"--{name}={folder}/{name}" for name in ("root", "runroot", "tmpdir")]
        options = ("--cgroup-manager=cgroupfs", "--events-backend=none")
        yield privately("sh", "-c", _HIDE, "sh", "podman", *places, *options)


def test_podman_runs_a_program_in_it(
    published: Published, podman: tuple[object, ...], tmp_path: Path
) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(ALLOW))
    policy = f"--signature-policy={tmp_path}/policy.json"
    image = run(*podman, "pull", "--quiet", policy, f"{layout(published)}:latest").split()[-1]
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")  # at most the tests' own
    alone = ("--cgroups=disabled", "--network=none", "--rm")
    said = run(*podman, "run", *alone, *limits, image, "/bin/cat", "/etc/serial")
    assert said == f"{NEW}\n"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry on a port of this machine's own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
    }
    (tmp_path / "registry.yml").write_text(json.dumps(config))
    with subprocess.Popen(["docker-registry", "serve", tmp_path / "registry.yml"]) as server:
        host, port = address.split(":")
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex((host, int(port))) == 0:
                    break
            time.sleep(0.02)
        yield address
        server.kill()


def read(url: str) -> bytes:
    accepted = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    with urlopen(Request(url, headers={"Accept": accepted})) as answer:
        content: bytes = answer.read()
    return content


def test_what_is_pushed_carries_its_signature_and_sbom(
    published: Published, registry: str, tmp_path: Path, publisher: Signer
) -> None:
    (tmp_path / "etc").mkdir()
    insecure = f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
    (tmp_path / "etc/registries.conf").write_text(insecure)
    (tmp_path / "etc/policy.json").write_text(json.dumps(ALLOW))
    bound = f'mount --bind {tmp_path}/etc /etc/containers && exec "$@"'
    node = tmp_path / "node/var/lib/vztmpl"
    node.mkdir(parents=True)
    (node / "keys").symlink_to(publisher.keyring._folder)
    vztmpl = Path(sys.executable).parent / "vztmpl"
    push = (vztmpl, "publish", published.folder, "--push", f"docker://{registry}/os")
    env = {"VZ_SYSROOT": str(tmp_path / "node")}
    run(*privately("sh", "-c", bound, "sh", *push), env=env)

    url = f"http://{registry}/v2/os/{NAME}"
    image = read(f"{url}/manifests/latest")
    assert image == read(f"{url}/manifests/{NEW}") != read(f"{url}/manifests/{OLD}")
    digest = sha256(image).hexdigest()
    attached = {}
    for entry in json.loads(read(f"{url}/manifests/sha256-{digest}"))["manifests"]:
        artifact = json.loads(read(f"{url}/manifests/{entry['digest']}"))
        assert artifact["subject"]["digest"] == f"sha256:{digest}"
        for layer in artifact["layers"]:
            title = layer["annotations"]["org.opencontainers.image.title"]
            attached[title] = read(f"{url}/blobs/{layer['digest']}")
    assert sorted(attached) == [f"{NAME}.cdx.json", f"{NAME}.json", f"{NAME}.json.asc"]
    signed, signature = attached[f"{NAME}.json"], attached[f"{NAME}.json.asc"]
    assert verify_detached(signed, signature, publisher.public_key, "x") == publisher.fingerprint
    config = json.loads(read(f"{url}/blobs/{json.loads(image)['config']['digest']}"))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{Manifest.parse(signed, 'x').digest}"]
