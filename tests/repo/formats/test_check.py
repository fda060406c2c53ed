"""What is wrong in what others read is found, whatever was noted of it."""

import gzip
import json
import lzma
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.fakes import NAME, OLD, Signer, make_template
from vztmpl.progress import Silent
from vztmpl.repo.check import check
from vztmpl.repo.formats.check import problems
from vztmpl.repo.formats.config import Format, Publishing
from vztmpl.repo.formats.known import measure
from vztmpl.repo.publish import publish
from vztmpl.run import run
from vztmpl.template.index import Index

IMAGES = f"images/{NAME}/{OLD}"


@pytest.fixture(scope="module")
def published(publisher: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    archive = make_template(folder, publisher).archive
    everything = Publishing(formats=tuple(Format))
    keys = (publisher.keyring, publisher.fingerprint)
    publish(folder / "www", [archive], *keys, publishing=everything)
    return folder / "www"


@pytest.fixture
def repository(published: Path, tmp_path: Path) -> Path:
    run(["cp", "--archive", published, tmp_path])
    return tmp_path / "www"


def found(repository: Path, signer: Signer) -> list[str]:
    index = Index.parse((repository / "index.json").read_bytes(), "x")
    lines = problems(repository, index, signer.public_key, Silent())
    return [line.replace(f"{repository}/", "") for line in lines]


def test_a_good_tree_has_no_problems(repository: Path, publisher: Signer) -> None:
    assert found(repository, publisher) == []


def test_checking_a_repository_checks_what_others_read(repository: Path, publisher: Signer) -> None:
    assert check(repository, publisher.public_key, Silent()).problems == []
    flip(repository / "meta/1.0/index-user")
    (problem,) = check(repository, publisher.public_key, Silent()).problems
    assert problem.endswith("meta/1.0/index-user is not what the index leads to")


def test_a_copy_without_hard_links_has_none_either(repository: Path, publisher: Signer) -> None:
    for path in repository.rglob("*.tar.*"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert found(repository, publisher) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "path",
    [
        f"templates/{NAME}/{OLD}/{NAME}.json",
        f"{IMAGES}/rootfs.tar.xz",
        f"{IMAGES}/rootfs.tar.gz",
        f"{IMAGES}/rootfs.squashfs",
        f"{IMAGES}/meta.tar.xz",
        f"{IMAGES}/incus.tar.xz",
        "meta/1.0/index-user",
        "streams/v1/images.json",
        "streams/v1/images.sjson",
        "systemd/SHA256SUMS",
        "systemd/SHA256SUMS.gpg",
        f"systemd/{NAME}_{OLD}.nspawn",
        "proxmox/aplinfo.dat",
        "proxmox/aplinfo.dat.asc",
        f"oci/{NAME}/index.json",
        f"openvz/{NAME}.tar.gz.asc",
    ],
)
@pytest.mark.parametrize("harm", [flip, Path.unlink], ids=["altered", "missing"])
def test_a_file_that_is_altered_or_missing_is_found(
    repository: Path, publisher: Signer, path: str, harm: Callable[[Path], None]
) -> None:
    harm(repository / path)
    assert found(repository, publisher)


@pytest.mark.parametrize(("form", "wrap"), [("xz", lzma.compress), ("gz", gzip.compress)])
def test_a_form_that_holds_another_tar_is_found_although_all_digests_were_changed_with_it(
    repository: Path, publisher: Signer, form: str, wrap: Callable[[bytes], bytes]
) -> None:
    """Somebody who can write there, and even sign, can't make two systems read two things."""
    path = repository / f"{IMAGES}/rootfs.tar.{form}"
    record = repository / f"{IMAGES}/files.json"
    path.write_bytes(wrap(b"another system"))
    said = json.loads(record.read_text())
    head = (repository / f"{IMAGES}/incus.tar.xz").read_bytes()
    said["files"][f"{IMAGES}/rootfs.tar.{form}"] = asdict(measure(path, head))
    record.write_text(json.dumps(said))
    publish(repository, [], publisher.keyring, publisher.fingerprint)
    said_of_it = f"{IMAGES}/rootfs.tar.{form} is not the tar that the manifest names"
    assert said_of_it in found(repository, publisher)


def test_a_repository_for_nobody_else_has_nothing_to_check(
    repository: Path, publisher: Signer
) -> None:
    publish(repository, [], publisher.keyring, publisher.fingerprint, publishing=Publishing())
    assert found(repository, publisher) == []
