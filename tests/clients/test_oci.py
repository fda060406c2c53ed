"""skopeo, umoci, podman and a registry."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published, capabilities, facts, privately, run
from tests.fakes import Signer, web_server
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


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's docker-registry on a port of this machine's own."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": address},
    }
    (folder / "registry.yml").write_text(json.dumps(config))
    with subprocess.Popen(["docker-registry", "serve", folder / "registry.yml"]) as server:
        host, port = address.split(":")
        for _ in range(500):
            with socket.socket() as client:
                if client.connect_ex((host, int(port))) == 0:
                    break
            time.sleep(0.02)
        yield address
        server.kill()


@dataclass(frozen=True)
class Pushed:
    """A repository of our own and the registry that it was pushed to."""

    folder: Path
    registry: str
    etc: Path
    """Takes the place of /etc/containers, for those who are run ``below`` it."""

    def below(self, *words: object) -> tuple[object, ...]:
        bound = f'mount --bind {self.etc} /etc/containers && exec "$@"'
        return privately("sh", "-c", bound, "sh", *words)

    def read(self, what: str) -> bytes:
        kinds = ("index", "manifest")
        accepted = ", ".join(f"application/vnd.oci.image.{kind}.v1+json" for kind in kinds)
        url = f"http://{self.registry}/v2/os/{NAME}/{what}"
        with urlopen(Request(url, headers={"Accept": accepted})) as answer:
            content: bytes = answer.read()
        return content


@pytest.fixture(scope="module")
def pushed(
    published: Published,
    registry: str,
    publisher: Signer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Pushed:
    folder = tmp_path_factory.mktemp("pushed")
    run("cp", "--archive", published.folder, folder / "www")
    (folder / "etc/registries.d").mkdir(parents=True)
    insecure = f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
    (folder / "etc/registries.conf").write_text(insecure)
    (folder / "etc/policy.json").write_text(json.dumps(ALLOW))
    (folder / "node/var/lib/vztmpl").mkdir(parents=True)
    (folder / "node/var/lib/vztmpl/keys").symlink_to(publisher.keyring._folder)
    made = Pushed(folder / "www", registry, folder / "etc")
    vztmpl = Path(sys.executable).parent / "vztmpl"
    words = (vztmpl, "publish", made.folder, "--push", f"docker://{registry}/os")
    run(*made.below(*words), env={"VZ_SYSROOT": str(folder / "node")})
    return made


def test_what_is_pushed_carries_its_signature_and_sbom(pushed: Pushed, publisher: Signer) -> None:
    image = pushed.read("manifests/latest")
    assert image == pushed.read(f"manifests/{NEW}") != pushed.read(f"manifests/{OLD}")
    digest = sha256(image).hexdigest()
    attached = {}
    for entry in json.loads(pushed.read(f"manifests/sha256-{digest}"))["manifests"]:
        artifact = json.loads(pushed.read(f"manifests/{entry['digest']}"))
        assert artifact["subject"]["digest"] == f"sha256:{digest}"
        for layer in artifact["layers"]:
            title = layer["annotations"]["org.opencontainers.image.title"]
            attached[title] = pushed.read(f"blobs/{layer['digest']}")
    assert sorted(attached) == [f"{NAME}.cdx.json", f"{NAME}.json", f"{NAME}.json.asc"]
    signed, signature = attached[f"{NAME}.json"], attached[f"{NAME}.json.asc"]
    assert verify_detached(signed, signature, publisher.public_key, "x") == publisher.fingerprint
    config = json.loads(pushed.read(f"blobs/{json.loads(image)['config']['digest']}"))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{Manifest.parse(signed, 'x').digest}"]


@pytest.mark.parametrize("tag", [OLD, NEW, "latest"])
def test_a_policy_that_asks_for_our_signature_accepts_every_tag(
    pushed: Pushed, publisher: Signer, tmp_path: Path, tag: str
) -> None:
    said = pull(pushed, publisher, tmp_path, f"{NAME}:{tag}")
    assert "Storing signatures" in said


def test_a_policy_refuses_another_key_another_name_and_what_nobody_signed(
    pushed: Pushed, publisher: Signer, stranger: Signer, tmp_path: Path
) -> None:
    assert "Source image rejected" in pull(pushed, stranger, tmp_path, f"{NAME}:latest")
    anybody = ("skopeo", "copy", f"docker://{pushed.registry}/os/{NAME}:latest")
    run(*pushed.below(*anybody, f"docker://{pushed.registry}/os/other:latest"))
    assert "Source image rejected" in pull(pushed, publisher, tmp_path, "other:latest")
    run(*pushed.below(*anybody, f"docker://{pushed.registry}/os/{NAME}:other"))
    assert "Source image rejected" in pull(pushed, publisher, tmp_path, f"{NAME}:other")


def pull(pushed: Pushed, trusted: Signer, folder: Path, image: str) -> str:
    """Pull by a policy that trusts one key for all of the registry; say what skopeo said."""
    (folder / "key.asc").write_bytes(trusted.public_key)
    rule = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(folder / "key.asc")}
    docker = {"docker": {f"{pushed.registry}/os": [rule]}}
    policy = {"default": [{"type": "reject"}], "transports": docker}
    (folder / "policy.json").write_text(json.dumps(policy))
    with web_server(pushed.folder) as server:
        place = {"lookaside": f"{server.url}/sigstore"}
        ours = pushed.etc / "registries.d/ours.yaml"
        ours.write_text(json.dumps({"docker": {f"{pushed.registry}/os": place}}))
        copy = ("skopeo", "--policy", folder / "policy.json", "copy")
        words = (*copy, f"docker://{pushed.registry}/os/{image}", f"dir:{folder}/pulled")
        said = run(*pushed.below(*words), check=False)
        ours.unlink()
    return said
