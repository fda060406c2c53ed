import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fakes import (
    NAME,
    NEW,
    OLD,
    Signer,
    fake_program,
    make_template,
    names_in,
    write_manifest,
)
from vztmpl.errors import LockedError, NotFoundError, VerificationError, VztmplError
from vztmpl.files import locked
from vztmpl.progress import Silent
from vztmpl.repo.check import check
from vztmpl.repo.publish import publish
from vztmpl.template.entry import File
from vztmpl.template.index import Index
from vztmpl.template.manifest import TemplateFiles
from vztmpl.template.signature import Keyring, fingerprints, verify_clear


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "www/tree"


def index_of(repository: Path, signer: Signer) -> Index:
    signed = (repository / "index.json.asc").read_bytes()
    text, _ = verify_clear(signed, signer.public_key, "x")
    assert (repository / "index.json").read_bytes() == text
    return Index.parse(text, "x")


def put(repository: Path, signer: Signer, *files: TemplateFiles) -> None:
    archives = [one.archive for one in files]
    publish(repository, archives, signer.keyring, signer.fingerprint)


def test_a_published_tree_holds_all_that_its_index_names(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher))
    (entry,) = index_of(repository, publisher).entries
    assert entry.path == f"templates/{NAME}/{OLD}"
    files = TemplateFiles.of(repository / entry.path, NAME)
    assert {path.name for path in files.all} == set(entry.files)
    for path in files.all:
        content = path.read_bytes()
        assert entry.files[path.name] == File(
            size_bytes=len(content), sha256=sha256(content).hexdigest()
        )
    assert (entry.arch, entry.size_bytes) == ("x86_64", files.archive.stat().st_size)
    assert (repository / "key.asc").read_bytes().strip() == publisher.public_key.strip()
    assert names_in(repository / "templates" / NAME) == [OLD]


def test_any_web_server_may_read_it(tmp_path: Path, repository: Path, publisher: Signer) -> None:
    files = make_template(tmp_path, publisher)
    before = os.umask(0o077)
    try:
        put(repository, publisher, files)
    finally:
        os.umask(before)
    for path in (repository, *repository.rglob("*")):
        if path.name != ".lock":
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_publishing_twice_changes_no_template_but_renews_the_index(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    files = make_template(tmp_path, publisher)
    put(repository, publisher, files)
    first = index_of(repository, publisher)
    put(repository, publisher, files)
    second = index_of(repository, publisher)
    assert second.entries == first.entries
    assert second.serial == first.serial + 1
    put(repository, publisher)
    assert index_of(repository, publisher).serial == first.serial + 2


def test_builds_of_one_template_stand_side_by_side(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher))
    put(repository, publisher, make_template(tmp_path, publisher, serial=NEW, content="new"))
    assert [entry.serial for entry in index_of(repository, publisher).entries] == [OLD, NEW]


def test_what_is_published_never_changes(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    put(repository, publisher, make_template(tmp_path, publisher))
    before = index_of(repository, publisher)
    with pytest.raises(VztmplError, match="another build of the same serial"):
        put(repository, publisher, make_template(tmp_path, publisher, content="other"))
    assert index_of(repository, publisher) == before


def test_a_template_by_a_stranger_is_not_published(
    tmp_path: Path, repository: Path, publisher: Signer, stranger: Signer
) -> None:
    good = make_template(tmp_path, publisher)
    (tmp_path / "other").mkdir()
    bad = make_template(tmp_path / "other", stranger, serial=NEW)
    with pytest.raises(VerificationError, match="no valid signature") as caught:
        put(repository, publisher, good, bad)
    assert caught.value.__notes__ == [f"while publishing to {repository}"]
    assert not repository.exists()


def test_an_altered_or_unsigned_template_is_not_published(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    files = make_template(tmp_path, publisher)
    signature, archive = files.signature.read_bytes(), files.archive.read_bytes()
    files.signature.unlink()
    with pytest.raises(VerificationError, match=r"json\.asc is missing"):
        put(repository, publisher, files)
    files.signature.write_bytes(signature)
    files.archive.write_bytes(archive[:-1] + b"x")
    with pytest.raises(VerificationError, match="is not the file that its manifest names"):
        put(repository, publisher, files)
    files.archive.unlink()
    with pytest.raises(NotFoundError):
        put(repository, publisher, files)
    assert not repository.exists()


def test_a_renamed_template_is_not_published(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    files = make_template(tmp_path, publisher)
    renamed = TemplateFiles.of(tmp_path, "other-1-x86_64")
    for old, new in zip(files.all, renamed.all, strict=True):
        old.rename(new)
    with pytest.raises(VerificationError, match=f"is the manifest of {NAME}"):
        put(repository, publisher, renamed)


def test_an_index_by_a_stranger_is_not_carried_on(
    tmp_path: Path, repository: Path, publisher: Signer, stranger: Signer
) -> None:
    put(repository, stranger)
    before = (repository / "index.json.asc").read_bytes()
    with pytest.raises(VerificationError):
        put(repository, publisher, make_template(tmp_path, publisher))
    assert (repository / "index.json.asc").read_bytes() == before
    assert names_in(repository / "templates") == []


def test_the_index_is_written_after_the_files_that_it_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    """A gpg that does not sign stands for a publisher that is killed there."""
    files = make_template(tmp_path, publisher)
    body = 'case "$*" in *--clearsign*) exit 2;; esac; exec /usr/bin/gpg "$@"'
    with monkeypatch.context() as patch:
        fake_program(patch, tmp_path, "gpg", body)
        with pytest.raises(VztmplError, match="gpg did not sign"):
            put(repository, publisher, files)
    assert names_in(repository / "templates" / NAME) == [OLD]
    assert not (repository / "index.json.asc").exists()
    put(repository, publisher, files)
    assert len(index_of(repository, publisher).entries) == 1


def test_what_a_killed_publisher_left_is_removed(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    left = repository / f"templates/{NAME}/.{OLD}.01234567"
    left.mkdir(parents=True)
    put(repository, publisher, make_template(tmp_path, publisher))
    assert names_in(left.parent) == [OLD]


def test_two_publishers_do_not_meet(repository: Path, publisher: Signer) -> None:
    repository.mkdir(parents=True)
    with locked(repository / ".lock"), pytest.raises(LockedError):
        put(repository, publisher)


def test_templates_survive_a_later_build_in_the_same_folder(
    tmp_path: Path, repository: Path, publisher: Signer
) -> None:
    files = make_template(tmp_path, publisher)
    put(repository, publisher, files)
    published = repository / f"templates/{NAME}/{OLD}/{NAME}.json"
    before = published.read_bytes()
    files.manifest.unlink()
    write_manifest(files, b"{}", publisher)
    assert published.read_bytes() == before


def test_the_key_file_names_all_who_signed(
    tmp_path: Path, repository: Path, publisher: Signer, stranger: Signer
) -> None:
    keyring = Keyring(tmp_path / "keys")
    signer = keyring.generate("Index Signer", "index@example.org")
    keyring.import_keys(publisher.public_key)
    keyring.import_keys(stranger.public_key)
    files = make_template(tmp_path, publisher)
    publish(repository, [files.archive], keyring, signer)
    publish(repository, [], keyring, signer)
    named = fingerprints((repository / "key.asc").read_bytes())
    assert set(named) == {signer, publisher.fingerprint}


_KILLED = """
import os, sys
from pathlib import Path
from vztmpl.progress import Silent
from vztmpl.repo.check import check
from vztmpl.repo.publish import publish
from vztmpl.template.signature import Keyring
root, archive, keys, fingerprint, wanted = sys.argv[1:]
seen = 0
def audit(event, arguments):
    global seen
    if event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.utime", "open"):
        if any(root in str(argument) for argument in arguments):
            seen += 1
            if seen == int(wanted):
                os.kill(os.getpid(), 9)
keyring = Keyring(Path(keys))
sys.addaudithook(audit)
publish(Path(root), [Path(archive)], keyring, fingerprint)
"""


def test_killed_at_any_step_readers_see_a_whole_repository_and_the_next_one_goes_on(
    tmp_path: Path, repository: Path
) -> None:
    signer = Signer.new(tmp_path / "keys", "Killed Publisher")
    put(repository, signer, make_template(tmp_path, signer))
    saved = tmp_path / "saved"
    shutil.copytree(repository, saved)
    archive = make_template(tmp_path, signer, serial=NEW, content="new").archive
    step, killed = 1, 0
    while True:
        words = [repository, archive, tmp_path / "keys", signer.fingerprint, step]
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, *(str(word) for word in words)], check=False
        )
        assert check(repository, signer.public_key, Silent()).problems == []
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
        publish(repository, [archive], signer.keyring, signer.fingerprint)
        assert [one.serial for one in index_of(repository, signer).entries] == [OLD, NEW]
        assert names_in(repository / "templates" / NAME) == [OLD, NEW]
        shutil.rmtree(repository)
        shutil.copytree(saved, repository)
        step += 1 + step // 4
    assert killed > 5
    subprocess.run(["gpgconf", "--homedir", tmp_path / "keys", "--kill", "all"], check=True)
