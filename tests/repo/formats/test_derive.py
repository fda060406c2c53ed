"""What is derived from an index, and how it comes into the repository."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes import NAME, NEW, OLD, Signer, fake_program, make_template, names_in
from vztmpl.errors import CommandError, VerificationError
from vztmpl.progress import Silent
from vztmpl.repo.formats.config import Format, Publishing
from vztmpl.repo.formats.derive import derive
from vztmpl.repo.formats.outputs import SigningKey
from vztmpl.repo.publish import publish
from vztmpl.template.index import Index
from vztmpl.template.manifest import TemplateFiles
from vztmpl.template.signature import verify_detached

ALL = Publishing(formats=tuple(Format))
ARCHIVE = f"templates/{NAME}/{OLD}/{NAME}.tar.zst"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "www"


def put(
    repository: Path, signer: Signer, *files: TemplateFiles, publishing: Publishing | None = None
) -> None:
    archives = [one.archive for one in files]
    publish(repository, archives, signer.keyring, signer.fingerprint, publishing=publishing)


def sweep(repository: Path, signer: Signer) -> None:
    """Let the time of grace be over."""
    index = Index.parse((repository / "index.json").read_bytes(), "x")
    key = SigningKey(keyring=signer.keyring, fingerprint=signer.fingerprint)
    derive(repository, index, Publishing.load(repository), key, Silent()).remove_others()


def state(repository: Path) -> dict[str, tuple[int, bytes]]:
    """Describe all files that are derived: when they were written, and what they say."""
    return {
        str(path.relative_to(repository)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in repository.rglob("*")
        if path.is_file() and not path.name.startswith(("index.json", ".lock", "key.asc"))
    }


def without(index: Index, serial: str) -> Index:
    entries = tuple(entry for entry in index.entries if entry.serial != serial)
    return Index(
        serial=index.serial + 1, created=index.created, expires=index.expires, entries=entries
    )


def test_without_formats_only_our_own_files_are_there(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher))
    folders = [path.name for path in repository.iterdir() if path.is_dir()]
    assert folders == ["templates"]


def test_publishing_again_changes_nothing(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    files = make_template(tmp_path, publisher)
    put(repository, publisher, files, publishing=ALL)
    before = state(repository)
    put(repository, publisher, files)
    put(repository, publisher)
    assert state(repository) == before


def test_another_machine_derives_the_same_bytes(
    tmp_path: Path, publisher: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_template(tmp_path, publisher)
    found = []
    for cores in (1, 5):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        repository = tmp_path / f"www{cores}"
        put(repository, publisher, files, publishing=ALL)
        found.append({path: content for path, (_, content) in state(repository).items()})
    signed = (".asc", ".gpg", ".sjson", ".derived.json")
    for path in found[0]:
        assert found[0][path] == found[1][path] or path.endswith(signed), path


def test_a_new_build_is_the_one_that_is_offered(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher), publishing=ALL)
    put(repository, publisher, make_template(tmp_path, publisher, serial=NEW, content="new"))
    (line,) = (repository / "meta/1.0/index-system").read_text().splitlines()
    assert line == f"tiny;1;amd64;default;{NEW};/images/{NAME}/{NEW}/"
    gz = repository / f"images/{NAME}/{NEW}/rootfs.tar.gz"
    assert (repository / f"openvz/{NAME}.tar.gz").samefile(gz)
    sweep(repository, publisher)
    assert names_in(repository / "proxmox/system") == [f"tiny-1_{NEW}_amd64.tar.zst"]
    signature = (repository / f"openvz/{NAME}.tar.gz.asc").read_bytes()
    verify_detached(gz.read_bytes(), signature, publisher.public_key, "x")


def test_what_leaves_the_index_goes_when_the_index_is_in_place(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher), publishing=ALL)
    put(repository, publisher, make_template(tmp_path, publisher, serial=NEW, content="new"))
    index = Index.parse((repository / "index.json").read_bytes(), "x")
    key = SigningKey(keyring=publisher.keyring, fingerprint=publisher.fingerprint)
    derived = derive(repository, without(index, OLD), ALL, key, Silent())
    assert OLD not in (repository / "systemd/SHA256SUMS").read_text()
    assert OLD not in (repository / "streams/v1/images.json").read_text()
    assert OLD in names_in(repository / f"images/{NAME}")
    derived.remove_others()
    left = [path for path in repository.rglob("*") if OLD in path.name]
    assert left == [repository / f"templates/{NAME}/{OLD}"]
    layout = repository / f"oci/{NAME}"
    assert OLD not in (layout / "index.json").read_text()
    blobs = {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}
    named = b"".join([*blobs.values(), (layout / "index.json").read_bytes()])
    assert all(blob.encode() in named for blob in blobs)


def test_what_left_the_index_may_be_read_for_the_time_of_grace(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher), publishing=ALL)
    put(repository, publisher, make_template(tmp_path, publisher, serial=NEW, content="new"))
    again = Index.parse((repository / "index.json").read_bytes(), "x")
    index = without(again, OLD)
    key = SigningKey(keyring=publisher.keyring, fingerprint=publisher.fingerprint)
    path = f"systemd/{NAME}_{OLD}.tar.xz"
    old = repository / path
    state = repository / ".derived.json"
    for wanted in (index, again, index, index):
        derive(repository, wanted, ALL, key, Silent()).remove_others(timedelta(hours=1))
        assert old.is_file()
        left = json.loads(state.read_text())[path].startswith("left ")
        assert left is (wanted is index)
    said = json.loads(state.read_text())
    an_hour_ago = int(said[path].split()[1]) - 3600
    state.write_text(json.dumps(said | {path: f"left {an_hour_ago}"}))
    derive(repository, index, ALL, key, Silent()).remove_others(timedelta(hours=1))
    assert not old.exists()
    assert path not in state.read_text()


def test_a_format_that_is_dropped_leaves_nothing(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher), publishing=ALL)
    put(repository, publisher, publishing=Publishing(formats=(Format.LXC,)))
    sweep(repository, publisher)
    assert names_in(repository / f"images/{NAME}/{OLD}") == [
        "files.json", "meta.tar.xz", "rootfs.tar.xz",
    ]  # fmt: skip
    put(repository, publisher, publishing=Publishing())
    sweep(repository, publisher)
    folders = [path.name for path in repository.iterdir() if path.is_dir()]
    assert folders == ["templates"]


def test_files_of_others_are_left_alone(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    (repository / "images").mkdir(parents=True)
    (repository / "images/cat.png").write_bytes(b"cat")
    put(repository, publisher, make_template(tmp_path, publisher), publishing=ALL)
    put(repository, publisher, publishing=Publishing())
    sweep(repository, publisher)
    assert names_in(repository / "images") == ["cat.png"]


def test_a_format_can_be_added_later(tmp_path: Path, repository: Path, publisher: Signer) -> None:
    files = make_template(tmp_path, publisher)
    put(repository, publisher, files, publishing=Publishing(formats=(Format.SYSTEMD,)))
    xz = repository / f"images/{NAME}/{OLD}/rootfs.tar.xz"
    before = xz.stat()
    put(repository, publisher, publishing=ALL)
    assert (xz.stat().st_ino, xz.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    items = json.loads((repository / "streams/v1/images.json").read_text())["products"]
    assert items["tiny:1:amd64:default"]["versions"][OLD]["items"]["incus.tar.xz"][
        "combined_sha256"
    ]


def test_any_web_server_may_read_all_of_it(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    files = make_template(tmp_path, publisher)
    before = os.umask(0o077)
    try:
        put(repository, publisher, files, publishing=ALL)
    finally:
        os.umask(before)
    for path in (repository, *repository.rglob("*")):
        if path.name != ".lock":
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_a_publisher_that_is_killed_while_compressing_leaves_nothing_for_the_next(
    tmp_path: Path, repository: Path, publisher: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_template(tmp_path, publisher)
    with monkeypatch.context() as broken:
        fake_program(broken, tmp_path, "xz", "echo no room; exit 1")
        with pytest.raises(CommandError, match="xz"):
            put(repository, publisher, files, publishing=ALL)
    assert not (repository / "index.json.asc").exists()
    folder = repository / f"images/{NAME}/{OLD}"
    (folder / ".rootfs.tar.xz.01234567").write_bytes(b"half")
    (repository / ".index.html.01234567").write_bytes(b"half")
    (repository / "systemd").mkdir()
    (repository / "systemd/.SHA256SUMS.01234567").write_bytes(b"half")
    put(repository, publisher, files)
    hidden = [path.name for path in repository.rglob(".*")]
    assert sorted(hidden) == [".derived.json", ".listing", ".lock"]


def test_a_publisher_that_is_killed_leaves_nothing_of_formats_that_are_dropped_then(
    tmp_path: Path, repository: Path, publisher: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_template(tmp_path, publisher)
    with monkeypatch.context() as broken:
        fake_program(broken, tmp_path, "gzip", "exit 1")
        with pytest.raises(CommandError, match="gzip"):
            put(repository, publisher, files, publishing=ALL)
    folder = repository / f"images/{NAME}/{OLD}"
    assert names_in(folder) == ["rootfs.tar.xz"]
    (folder / ".rootfs.tar.gz.01234567").write_bytes(b"half")
    put(repository, publisher, files, publishing=Publishing())
    sweep(repository, publisher)
    assert [path.name for path in repository.iterdir() if path.is_dir()] == ["templates"]


def test_a_signature_is_made_anew_when_another_key_signs_or_the_list_is_lost(
    tmp_path: Path, repository: Path
) -> None:
    first = Signer.new(tmp_path / "keys", "First Key")
    put(repository, first, make_template(tmp_path, first), publishing=ALL)
    second = first.keyring.generate("Second Key", "second@example.org")
    sweep(repository, Signer(first.keyring, second, b""))
    keys = first.keyring.export(second).encode()
    for name in ("systemd/SHA256SUMS", "proxmox/aplinfo.dat", f"openvz/{NAME}.tar.gz"):
        (signature,) = (repository / name).parent.glob(f"{Path(name).name}.[ag]*[cg]")
        verify_detached((repository / name).read_bytes(), signature.read_bytes(), keys, name)
    (repository / ".derived.json").write_text("{")
    put(repository, first)
    sums = (repository / "systemd/SHA256SUMS").read_bytes()
    signature = repository / "systemd/SHA256SUMS.gpg"
    verify_detached(sums, signature.read_bytes(), first.public_key, "x")


@pytest.mark.parametrize("format_", Format)
def test_an_archive_that_was_altered_in_the_repository_is_derived_to_nobody(
    tmp_path: Path, repository: Path, publisher: Signer, format_: Format
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher))
    archive = repository / ARCHIVE
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    before = (repository / "index.json.asc").read_bytes()
    with pytest.raises(VerificationError):
        put(repository, publisher, publishing=Publishing(formats=(format_,)))
    assert (repository / "index.json.asc").read_bytes() == before
    assert not [path for path in repository.rglob("rootfs*")]


def test_a_manifest_that_was_altered_in_the_repository_is_refused(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher))
    manifest = repository / f"templates/{NAME}/{OLD}/{NAME}.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"a tiny one", b"a vile one"))
    with pytest.raises(VerificationError, match="is not what the index says"):
        put(repository, publisher)
    manifest.unlink()
    with pytest.raises(VerificationError, match="is missing, but in the index"):
        put(repository, publisher)
