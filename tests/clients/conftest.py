"""One published tree for all clients: two builds of a small system that boots, in every format."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import FakeServer, Signer, template_of, web_server
from vztmpl.repo.formats.config import Format, Publishing
from vztmpl.repo.publish import publish
from vztmpl.template.manifest import TemplateFiles

NAME = "busybox-1-x86_64"
OLD, NEW = "20260101T0000Z", "20260202T0000Z"
_INIT = "#!/bin/sh\ntrap 'exit 0' INT TERM PWR RTMIN+3\nwhile :; do sleep 0.05; done\n"

Facts = tuple[object, ...]


@dataclass(frozen=True)
class Published:
    """The tree that all clients read, and where it is served."""

    folder: Path
    files: TemplateFiles
    """Of the newest build, as it was published."""
    system: dict[str, Facts]
    """What was packed."""
    http: FakeServer
    https: FakeServer
    certificate: Path


def run(*words: object, env: dict[str, str] | None = None, check: bool = True) -> str:
    """Run a client; it has to succeed unless ``check`` is off."""
    result = subprocess.run(
        [str(word) for word in words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0 or not check, result.stdout
    return result.stdout


def privately(*words: object) -> tuple[object, ...]:
    """Wrap a command in a mount namespace of its own."""
    return ("unshare", "--mount", "--propagation=private", "--", *words)


def clean_after_lxc(containers: Path) -> None:
    """Remove what LXC leaves: its locks, and an empty group in each hierarchy."""
    locks = Path(f"/run/lxc/lock/{containers}")
    shutil.rmtree(locks, ignore_errors=True)
    for parent in locks.parents:
        with suppress(OSError):  # others have locks there
            parent.rmdir()
    for group in ("lxc.pivot", "*/lxc.pivot"):
        for pivot in Path("/sys/fs/cgroup").glob(group):
            with suppress(OSError):  # another container is on its way
                pivot.rmdir()


def facts(tree: Path) -> dict[str, Facts]:
    """Describe all that is in a tree, but for times and extended attributes."""
    found: dict[str, Facts] = {}
    for path in sorted(tree.rglob("*")):
        said = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        owner = (said.st_uid, said.st_gid)
        found[str(path.relative_to(tree))] = (oct(said.st_mode), *owner, content)
    return found


def capabilities(tree: Path) -> bytes:
    """The one file capability in the tree."""
    return os.getxattr(tree / "bin/capable", "security.capability")


def make_system(tree: Path, serial: str) -> None:
    """Make a system of one program that has all that is hard to carry along."""
    for folder in ("bin", "sbin", "etc", "dev", "proc", "sys", "run", "tmp", "root", "usr", "var"):
        (tree / folder).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in ("sh", "sleep", "cat", "id", "hostname", "true"):
        (tree / "bin" / name).symlink_to("busybox")
    (tree / "sbin/init").write_text(_INIT)
    (tree / "sbin/init").chmod(0o755)
    (tree / "bin/capable").write_bytes(b"x")
    subprocess.run(["setcap", "cap_net_raw+ep", tree / "bin/capable"], check=True)
    (tree / "bin/setuid").write_bytes(b"y")
    (tree / "bin/setuid").chmod(0o4755)
    (tree / "etc/linked").hardlink_to(tree / "bin/setuid")
    (tree / "var/mail").mkdir()
    os.chown(tree / "var/mail", 1000, 1001)
    (tree / "etc/os-release").write_text('ID=busybox\nVERSION_ID=1\nNAME="Busybox"\n')
    (tree / "etc/serial").write_text(f"{serial}\n")
    (tree / "etc/größe mit leer").write_text("x")


def make_template(folder: Path, signer: Signer, serial: str) -> tuple[TemplateFiles, Path]:
    """Make a signed template of it, with an SBOM beside it; return the tree too."""
    tree = folder / f"tree-{serial}"
    make_system(tree, serial)
    (folder / serial).mkdir()
    files = template_of(
        tree,
        folder / serial,
        signer,
        serial,
        name=NAME,
        description="Busybox, static",
        packages={"busybox-static": "1:1.35"},
    )
    return files, tree


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with key and certificate of a server on loopback; ``.crt`` is the certificate."""
    both = tmp_path_factory.mktemp("tls") / "tls.pem"
    crt = Path(f"{both}.crt")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    named = "-days 2 -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1"
    run("openssl", "req", "-x509", *f"{key} {named}".split(), "-keyout", both, "-out", crt)
    with both.open("a") as file:
        file.write(crt.read_text())
    return both


@pytest.fixture(scope="session")
def published(
    publisher: Signer, certificate: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    """The tree, served over http and https on this machine."""
    folder = tmp_path_factory.mktemp("published")
    repository = folder / "www"
    older, _ = make_template(folder, publisher, OLD)
    files, tree = make_template(folder, publisher, NEW)
    keyring, fingerprint = publisher.keyring, publisher.fingerprint
    everything = Publishing(formats=tuple(Format))
    publish(repository, [older.archive], keyring, fingerprint, publishing=everything)
    publish(repository, [files.archive], keyring, fingerprint)
    sbom = f"{NAME}.cdx.json"
    (repository / f"templates/{NAME}/{NEW}" / sbom).write_text('{"bomFormat": "CycloneDX"}\n')
    publish(repository, [files.archive], keyring, fingerprint)
    with web_server(repository) as http, web_server(repository, certificate) as https:
        yield Published(repository, files, facts(tree), http, https, certificate)
