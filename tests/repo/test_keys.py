"""Keys that change: nodes follow the lists of a repository, and never back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import NAME, FakeServer, Signer, make_template, web_server
from vztmpl.errors import UsageError, VerificationError
from vztmpl.progress import Silent
from vztmpl.repo.check import check
from vztmpl.repo.fetch import opened
from vztmpl.repo.keys import KeyList
from vztmpl.repo.publish import change_keys, publish
from vztmpl.repo.refresh import refresh
from vztmpl.repo.remote import Remote, Remotes
from vztmpl.template.index import Index
from vztmpl.template.signature import Keyring, fingerprints, verify_clear


class Place:
    """A repository whose keyring holds three keys, and a node that trusts the first of them."""

    def __init__(self, folder: Path, server: FakeServer, keyring: Keyring) -> None:
        self.folder, self.server, self.keyring = folder, server, keyring
        self.repository = folder / "www"
        self.first, self.second, self.third = sorted(keyring.public_keys())
        publish(self.repository, [], self.keyring, self.first)
        self.remotes = Remotes(folder / "etc", folder / "state")
        self.remote = self.trusting("main", self.first)

    def trusting(self, name: str, fingerprint: str) -> Remote:
        return self.remotes.add(name, self.server.url, self.keyring.export(fingerprint).encode())

    def sign(self, fingerprint: str, add: str = "", remove: str = "") -> None:
        if add or remove:
            change_keys(
                self.repository,
                self.keyring,
                fingerprint,
                add=[add] if add else [],
                remove=[remove] if remove else [],
            )
        publish(
            self.repository, [], self.keyring, self.second if remove == self.first else fingerprint
        )

    def update(self, remote: Remote | None = None) -> Index:
        return refresh(self.remotes, remote or self.remote)

    def trusted(self, remote: Remote | None = None) -> set[str]:
        return set(fingerprints(self.remotes.memory(remote or self.remote).trust.keys))

    def put_index(self, index: Index, fingerprint: str) -> None:
        signed = self.keyring.sign(index.to_json(), fingerprint, clear=True)
        (self.repository / "index.json.asc").write_bytes(signed)

    def index(self) -> Index:
        signed = (self.repository / "index.json.asc").read_bytes()
        text, _ = verify_clear(signed, (self.repository / "key.asc").read_bytes(), "x")
        return Index.parse(text, "x")


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    keyring = Keyring(tmp_path_factory.mktemp("keys"))
    for number in (1, 2, 3):
        keyring.generate(f"Key number {number}", "keys@example.org")
    return keyring


@pytest.fixture
def place(tmp_path: Path, keyring: Keyring) -> Iterator[Place]:
    (tmp_path / "www").mkdir()
    with web_server(tmp_path / "www") as server:
        yield Place(tmp_path, server, keyring)


def test_a_node_follows_to_a_new_key_and_the_old_one_counts_no_more(place: Place) -> None:
    place.update()
    place.sign(place.first, add=place.second)
    place.update()
    assert place.trusted() == {place.first, place.second}
    place.sign(place.second, remove=place.first)
    place.update()
    assert place.trusted() == {place.second}
    place.put_index(place.index().next([], place.index().created), place.first)
    with pytest.raises(VerificationError, match="no valid signature"):
        place.update()
    assert check_is_good(place)


def check_is_good(place: Place) -> bool:
    publish(place.repository, [], place.keyring, place.second)
    found = check(place.repository, (place.repository / "key.asc").read_bytes(), Silent())
    return not found.problems


def test_a_node_that_was_away_for_two_changes_follows_all_of_them(place: Place) -> None:
    place.sign(place.first, add=place.second)
    place.sign(place.second, remove=place.first)
    change_keys(place.repository, place.keyring, place.second, add=[place.third])
    change_keys(place.repository, place.keyring, place.third, remove=[place.second])
    publish(place.repository, [], place.keyring, place.third)
    assert place.update().serial == place.index().serial
    assert place.trusted() == {place.third}
    fresh = place.trusting("fresh", place.third)
    assert place.update(fresh).serial == place.index().serial
    assert place.trusted(fresh) == {place.third}


def test_a_list_that_a_stranger_signed_changes_nothing(place: Place, stranger: Signer) -> None:
    place.update()
    listed = KeyList(
        version=1, keys={stranger.fingerprint: stranger.public_key.decode()}, index_serial=0
    )
    signed = stranger.keyring.sign(listed.to_json(), stranger.fingerprint, clear=True)
    (place.repository / "keys").mkdir()
    (place.repository / "keys/1.json.asc").write_bytes(signed)
    stolen = place.index().next([], place.index().created, keys_version=1)
    text = stranger.keyring.sign(stolen.to_json(), stranger.fingerprint, clear=True)
    (place.repository / "index.json.asc").write_bytes(text)
    with pytest.raises(VerificationError, match="no valid signature"):
        place.update()
    assert place.trusted() == {place.first}


def test_a_key_that_was_dropped_is_not_taken_back(place: Place) -> None:
    place.sign(place.first, add=place.second)
    place.sign(place.second, remove=place.first)
    place.update()
    change_keys(place.repository, place.keyring, place.second, add=[place.first])
    publish(place.repository, [], place.keyring, place.second)
    place.update()
    assert place.trusted() == {place.second}


def test_a_mirror_that_keeps_a_list_back_is_refused(place: Place) -> None:
    place.update()
    place.sign(place.first, add=place.second)
    (place.repository / "keys/1.json.asc").rename(place.folder / "kept")
    change_keys(place.repository, place.keyring, place.first, remove=[place.second])
    (place.repository / "keys/1.json.asc").unlink()
    with pytest.raises(VerificationError, match="its keys is kept from us") as caught:
        place.put_index(
            place.index().next([], place.index().created, keys=[place.second], keys_version=1),
            place.first,
        )
        place.update()
    assert "another mirror" in caught.value.hint


def test_a_stolen_key_can_not_make_later_indexes_look_old(place: Place) -> None:
    """Fast-forward: the thief signs an index with a serial that no honest one ever reaches."""
    place.sign(place.first, add=place.second)
    honest = place.index()
    far = place.index().next([], honest.created, keys=honest.keys, keys_version=1)
    place.put_index(replace(far, serial=1 << 60), place.first)
    assert place.update().serial == 1 << 60
    place.put_index(honest, place.second)
    with pytest.raises(VerificationError, match="is older than"):
        place.update()
    place.sign(place.second, remove=place.first)
    assert place.update().serial < 1000
    assert place.trusted() == {place.second}


def test_an_expired_or_revoked_key_signs_nothing(place: Place, tmp_path: Path) -> None:
    from tests.openpgp import expired_key, revoked

    for bad in (
        expired_key(tmp_path / "expired", place.index().to_json()),
        revoked(tmp_path / "revoked", place.index().to_json()),
    ):
        with pytest.raises(VerificationError, match=bad.problem):
            verify_clear(bad.signed, bad.public_key, "the index")


def test_a_stranger_does_not_publish_into_a_repository(place: Place) -> None:
    with pytest.raises(VerificationError, match="is not a key of this repository"):
        publish(place.repository, [], place.keyring, place.second)
    with pytest.raises(VerificationError, match="is not a key of this repository"):
        change_keys(place.repository, place.keyring, place.second, add=[place.second])
    with pytest.raises(UsageError, match="no key would be left"):
        change_keys(place.repository, place.keyring, place.first, remove=[place.first])


def test_a_template_by_a_key_that_is_not_listed_is_not_published(
    place: Place, tmp_path: Path
) -> None:
    (tmp_path / "built").mkdir()
    builder = Signer(place.keyring, place.third, place.keyring.export(place.third).encode())
    archive = make_template(tmp_path / "built", builder).archive
    with pytest.raises(VerificationError, match="is not a key of this repository"):
        publish(place.repository, [archive], place.keyring, place.first)
    assert not (place.repository / "templates" / NAME).exists()


def test_lists_are_read_only_when_there_is_something_new(place: Place) -> None:
    place.sign(place.first, add=place.second)
    place.update()
    place.server.asked.clear()
    publish(place.repository, [], place.keyring, place.second)
    place.update()
    assert place.server.asked == ["/index.json.asc"]
    with opened(place.server.url) as source:
        assert source.read("keys/1.json.asc", 1 << 20)
