"""Fetching from good and from bad repositories; nothing bad ever gets a final name."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests import fakes
from tests.fakes import (
    NAME,
    NEW,
    OLD,
    FakeServer,
    Fault,
    SignedRepository,
    Signer,
    make_template,
    names_in,
    web_server,
    write_manifest,
)
from vztmpl.errors import NetworkError, NotFoundError, VerificationError, VztmplError
from vztmpl.progress import Silent
from vztmpl.repo.cache import Cache
from vztmpl.repo.client import Client, Fetched
from vztmpl.repo.publish import publish
from vztmpl.repo.remote import Remotes
from vztmpl.template.entry import Entry, File
from vztmpl.template.index import EMPTY, Index
from vztmpl.template.manifest import TemplateFiles

WHOLE = sorted([f"{NAME}.tar.zst", f"{NAME}.json", f"{NAME}.json.asc", f"{NAME}.origin"])


class Place(SignedRepository):
    """A publisher's repository on a web server, and a node that knows it."""

    def __init__(self, folder: Path, publisher: Signer, server: FakeServer, first: Path) -> None:
        self.folder, self.publisher, self.server = folder, publisher, server
        self.repository, self.cached = folder / "www", folder / "cache"
        self.remotes = Remotes(folder / "etc", folder / "state")
        self.cache = Cache(self.cached, folder / "base", folder / "lock")
        self.client = Client(self.remotes, self.cache, folder / "lock", Silent())
        shutil.copytree(first, self.repository, dirs_exist_ok=True)
        self.remotes.add("main", server.url, publisher.public_key)

    def put(self, **how: str) -> None:
        """Publish a build."""
        put(self.repository, self.folder / "built", self.publisher, **how)

    def fetch(self, name: str = NAME, remote: str = "") -> Fetched:
        return self.client.fetch(name, remote)

    def held(self) -> dict[str, bytes]:
        """Return what the cache holds under final names."""
        files = (path for path in self.cached.glob("*") if path.is_file())
        return {path.name: path.read_bytes() for path in files}

    def seen(self) -> int:
        """Say the serial of the newest index that the node knows."""
        return self.remotes.memory(self.remotes.find("main")).serial

    def asked_for_archive(self) -> int:
        return sum(path.endswith(".tar.zst") for path in self.server.asked)


def put(repository: Path, built: Path, signer: Signer, **how: str) -> None:
    built.mkdir()
    files = make_template(built, signer, **how)
    publish(repository, [files.archive], signer.keyring, signer.fingerprint)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, publisher: Signer) -> Path:
    """A repository with one build."""
    folder = tmp_path_factory.mktemp("first")
    put(folder / "www", folder / "built", publisher)
    return folder / "www"


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, publisher: Signer, first: Path) -> Path:
    """The same repository with a newer build of the same template."""
    folder = tmp_path_factory.mktemp("second")
    shutil.copytree(first, folder / "www")
    put(folder / "www", folder / "built", publisher, serial=NEW, content="new\n")
    return folder / "www"


@pytest.fixture
def place(tmp_path: Path, publisher: Signer, first: Path) -> Iterator[Place]:
    (tmp_path / "www").mkdir()
    with web_server(tmp_path / "www") as server:
        yield Place(tmp_path, publisher, server, first)


def test_a_fetched_template_is_whole_and_ready(place: Place) -> None:
    fetched = place.fetch()
    assert fetched.changed
    assert (fetched.remote, fetched.manifest.serial) == ("main", OLD)
    assert sorted(place.held()) == WHOLE
    assert place.cache.find(NAME) == fetched.manifest
    assert (fetched.base / "etc/motd").read_text() == "hello\n"
    assert place.seen() == place.index().serial
    modes = {path.stat().st_mode & 0o777 for path in place.cached.iterdir() if path.is_file()}
    assert modes == {0o644}


def test_a_folder_is_as_good_as_a_web_server(place: Place) -> None:
    place.remotes.remove("main")
    place.remotes.add("local", f"file://{place.repository}", place.publisher.public_key)
    assert place.fetch().changed
    assert sorted(place.held()) == WHOLE


def test_a_second_fetch_does_nothing(place: Place) -> None:
    place.fetch()
    before = {path: path.stat().st_mtime_ns for path in place.cached.iterdir()}
    again = place.fetch()
    assert not again.changed
    assert again.base.is_dir()
    assert place.asked_for_archive() == 1
    assert {path: path.stat().st_mtime_ns for path in place.cached.iterdir()} == before


def test_a_newer_build_takes_the_place_of_the_cached_one(place: Place) -> None:
    old = place.fetch()
    place.put(serial=NEW, content="new\n")
    new = place.fetch()
    assert new.changed
    assert (new.base / "etc/motd").read_text() == "new\n"
    assert place.cache.find(NAME).serial == NEW
    assert old.base != new.base


def test_a_build_in_which_nothing_changed_needs_no_download(place: Place) -> None:
    old = place.fetch()
    place.put(serial=NEW)
    new = place.fetch()
    assert (new.changed, new.manifest.serial, new.base) == (True, NEW, old.base)
    assert place.asked_for_archive() == 1
    assert not [path for path in place.server.asked if "since-" in path]


def test_a_remote_with_older_builds_changes_nothing(place: Place) -> None:
    place.put(serial=NEW, content="new\n")
    place.fetch()
    newest = place.index().newest(NAME)
    older = [entry for entry in place.index().entries if entry != newest]
    place.put_index(replace(place.index(), entries=tuple(older), serial=99))
    assert not place.fetch().changed
    assert place.cache.find(NAME).serial == NEW


def test_a_broken_cached_template_is_fetched_again(place: Place) -> None:
    place.fetch()
    (place.cached / f"{NAME}.tar.zst").write_bytes(b"cut")
    assert place.fetch().changed
    assert place.cache.find(NAME).serial == OLD


def test_a_lost_base_is_unpacked_again_without_the_network(place: Place) -> None:
    from vztmpl.files import remove_tree

    remove_tree(place.fetch().base)
    fetched = place.fetch()
    assert not fetched.changed
    assert (fetched.base / "etc/motd").exists()


def refused(place: Place, error: type[VztmplError], match: str | None = None) -> None:
    """Fetch, which must fail and leave the cache as it was."""
    before = place.held()
    bases = names_in(place.folder / "base")
    with pytest.raises(error, match=match) as caught:
        place.fetch()
    assert f"while fetching {NAME}" in caught.value.__notes__
    assert place.held() == before
    assert set(names_in(place.cached)) <= {*before, ".partial"}
    assert names_in(place.folder / "base") == bases


BAD: list[tuple[str, Fault, type[VztmplError]]] = [
    ("index.json.asc", fakes.answers(404), NotFoundError),
    ("index.json.asc", fakes.answers(500), NetworkError),
    ("index.json.asc", fakes.endless, VerificationError),
    ("index.json.asc", fakes.dies_halfway, NetworkError),
    ("index.json.asc", fakes.sends(b""), VerificationError),
    ("index.json.asc", fakes.sends(b"<html>login</html>"), VerificationError),
    (f"{NAME}.json", fakes.answers(404), NotFoundError),
    (f"{NAME}.json", fakes.alters, VerificationError),
    (f"{NAME}.json", fakes.endless, VerificationError),
    (f"{NAME}.json", fakes.sends(b"{}"), VerificationError),
    (f"{NAME}.json.asc", fakes.answers(404), NotFoundError),
    (f"{NAME}.json.asc", fakes.sends(b""), VerificationError),
    (f"{NAME}.json.asc", fakes.sends(b"no signature"), VerificationError),
    (f"{NAME}.json.asc", fakes.endless, VerificationError),
    (f"{NAME}.tar.zst", fakes.answers(404), NotFoundError),
    (f"{NAME}.tar.zst", fakes.answers(503), NetworkError),
    (f"{NAME}.tar.zst", fakes.alters, VerificationError),
    (f"{NAME}.tar.zst", fakes.endless, VerificationError),
    (f"{NAME}.tar.zst", fakes.dies_halfway, NetworkError),
    (f"{NAME}.tar.zst", fakes.promises_less, NetworkError),
    (f"{NAME}.tar.zst", fakes.leads_to("https://other.example/x"), NetworkError),
]


@pytest.mark.parametrize(("path", "fault", "error"), BAD)
def test_what_goes_wrong_on_the_way_leaves_the_cache_as_it_was(
    place: Place, second: Path, path: str, fault: Fault, error: type[VztmplError]
) -> None:
    place.server.faults[f"/{path}"] = fault
    refused(place, error)
    place.server.faults.clear()
    assert place.fetch().changed
    shutil.copytree(second, place.repository, dirs_exist_ok=True)
    place.server.faults[f"/{path}"] = fault
    refused(place, error)
    assert place.cache.find(NAME).serial == OLD


def with_expiry(index: Index) -> Index:
    return replace(index, expires=datetime.now(UTC) - timedelta(seconds=1))


def with_file(entry: Entry, name: str, content: bytes) -> Entry:
    """Return an entry that says a file has this content."""
    said = File(size_bytes=len(content), sha256=sha256(content).hexdigest())
    return replace(entry, files={**entry.files, name: said})


def with_other_sha256(index: Index) -> Index:
    size = index.entries[0].files[f"{NAME}.json"].size_bytes
    return replace(index, entries=(with_file(index.entries[0], f"{NAME}.json", b"?" * size),))


def with_other_digest(index: Index) -> Index:
    return replace(index, entries=(replace(index.entries[0], digest="0" * 64),))


def with_other_serial(index: Index) -> Index:
    return replace(index, entries=(replace(index.entries[0], serial=NEW),))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (with_expiry, "expired"),
        (with_other_sha256, "not what the signed index says"),
        (with_other_digest, "another build than the index says"),
        (with_other_serial, "another build than the index says"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(
    place: Place, change: Callable[[Index], Index], match: str
) -> None:
    place.put_index(change(place.index()))
    refused(place, VerificationError, match)


def test_an_older_index_is_refused_once_a_newer_was_seen(place: Place) -> None:
    before = (place.repository / "index.json.asc").read_bytes()
    place.put(serial=NEW, content="new\n")
    place.fetch()
    (place.repository / "index.json.asc").write_bytes(before)
    refused(place, VerificationError, "is older than")


def test_an_index_by_another_key_is_refused(place: Place, stranger: Signer) -> None:
    place.put_index(place.index(), stranger)
    refused(place, VerificationError, "no valid signature")
    assert place.seen() == 0


def test_an_unsigned_index_is_refused(place: Place) -> None:
    (place.repository / "index.json.asc").write_bytes(place.index().to_json())
    refused(place, VerificationError)


def test_a_signed_text_that_is_no_index_is_refused(place: Place) -> None:
    keys = place.publisher
    for text in (b"hello\n", b"{}\n", b'{"format": 1, "serial": 1e999}\n'):
        signed = keys.keyring.sign(text, keys.fingerprint, clear=True)
        (place.repository / "index.json.asc").write_bytes(signed)
        refused(place, VerificationError)


def test_keys_of_one_remote_do_not_count_for_another(place: Place, stranger: Signer) -> None:
    place.remotes.remove("main")
    place.remotes.add("main", place.server.url, stranger.public_key)
    place.remotes.add("other", "file:///none", place.publisher.public_key)
    refused(place, VerificationError, "no valid signature")


def test_a_manifest_signed_by_another_key_is_refused(place: Place, stranger: Signer) -> None:
    files = TemplateFiles.of(place.repository / place.index().entries[0].path, NAME)
    files.signature.write_bytes(
        stranger.keyring.sign(files.manifest.read_bytes(), stranger.fingerprint)
    )
    entry = with_file(place.index().entries[0], files.signature.name, files.signature.read_bytes())
    place.put_index(replace(place.index(), entries=(entry,)))
    refused(place, VerificationError, "no valid signature")


def test_a_template_of_another_name_is_refused(place: Place) -> None:
    """The index, signed by the right key, offers one template's files as another's."""
    index = place.index()
    files = {
        name.replace(NAME, "other-1-x86_64"): file for name, file in index.entries[0].files.items()
    }
    entry = replace(index.entries[0], name="other-1-x86_64", files=files)
    folder = place.repository / entry.path
    for file in list(folder.iterdir()):
        file.rename(file.with_name(file.name.replace(NAME, "other-1-x86_64")))
    place.put_index(replace(index, entries=(entry,)))
    with pytest.raises(VerificationError, match=f"is the manifest of {NAME}"):
        place.fetch("other-1-x86_64")
    assert place.held() == {}


def test_an_archive_that_is_a_bomb_makes_no_base(place: Place) -> None:
    """The publisher's own manifest lies about the content."""
    files = TemplateFiles.of(place.repository / place.index().entries[0].path, NAME)
    manifest = json.loads(files.manifest.read_bytes())
    text = json.dumps({**manifest, "unpacked_bytes": 100}).encode()
    write_manifest(files, text, place.publisher)
    entry = with_file(place.index().entries[0], f"{NAME}.json", text)
    entry = with_file(entry, f"{NAME}.json.asc", files.signature.read_bytes())
    place.put_index(replace(place.index(), entries=(entry,)))
    with pytest.raises(VerificationError, match="larger than its manifest says"):
        place.fetch()
    assert names_in(place.folder / "base") == []


def test_what_a_killed_fetch_left_is_removed_by_the_next(place: Place) -> None:
    left = place.cached / f"..{NAME}.new.01234567"
    left.mkdir(parents=True)
    (left / f"{NAME}.tar.zst").write_bytes(b"half")
    place.fetch()
    assert sorted(place.held()) == WHOLE
    assert not left.exists()


def test_two_fetches_at_once_download_once(place: Place) -> None:
    context = get_context("fork")
    both = [context.Process(target=place.fetch) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    assert [one.exitcode for one in both] == [0, 0]
    assert place.asked_for_archive() == 1
    assert sorted(place.held()) == WHOLE


def test_a_remote_that_is_down_hides_no_other(place: Place) -> None:
    place.remotes.add("a-down", "http://127.0.0.1:1", place.publisher.public_key)
    assert place.fetch().remote == "main"
    with pytest.raises(NetworkError):
        place.fetch("none-1-x86_64")
    with pytest.raises(NetworkError):
        place.fetch(remote="a-down")


def test_a_named_remote_is_the_only_one_asked(place: Place) -> None:
    place.remotes.add("a-first", f"file://{place.repository}", place.publisher.public_key)
    assert place.fetch(remote="main").remote == "main"
    with pytest.raises(NotFoundError, match="no remote is called 'none'") as caught:
        place.fetch(remote="none")
    assert caught.value.hint == "there is a-first, main"


def test_a_template_that_nobody_offers_is_answered_with_near_ones(place: Place) -> None:
    with pytest.raises(NotFoundError, match="no template tiny-2-x86_64 at main") as caught:
        place.fetch("tiny-2-x86_64")
    assert caught.value.hint == f"there is {NAME}"
    place.put_index(replace(EMPTY, serial=99, expires=datetime.now(UTC) + timedelta(days=1)))
    with pytest.raises(NotFoundError) as caught:
        place.fetch()
    assert caught.value.hint == "nothing is published there"


def test_a_node_without_remotes_is_told_how_to_add_one(place: Place) -> None:
    place.remotes.remove("main")
    with pytest.raises(NotFoundError, match="knows no remote") as caught:
        place.fetch()
    assert "vztmpl remote add" in caught.value.hint
