"""What stands beside an archive, as its SBOM, goes the same way as the archive."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fakes import NAME, NEW, OLD, Signer, make_template, names_in, write_manifest
from vztmpl.errors import NotFoundError, VerificationError
from vztmpl.progress import Silent
from vztmpl.repo.cache import Cache
from vztmpl.repo.client import Client
from vztmpl.repo.publish import publish
from vztmpl.repo.remote import Remotes
from vztmpl.repo.verify import verify
from vztmpl.template.manifest import Manifest, TemplateFiles

_ENDS = ("cdx.json", "json", "json.asc", "lock", "provenance.json", "tar.zst")
ALL = [f"{NAME}.{end}" for end in _ENDS]


def make(folder: Path, signer: Signer, *, serial: str = OLD, text: str = "{}\n") -> TemplateFiles:
    """Make a template with an SBOM and a provenance."""
    folder.mkdir(exist_ok=True)
    files = make_template(folder, signer, serial=serial, content=f"built {serial}\n")
    manifest = Manifest.parse(files.manifest.read_bytes(), "x")
    for file in files.extras:
        file.write_text(text)
    digests = {file.name: sha256(text.encode()).hexdigest() for file in files.extras}
    write_manifest(files, replace(manifest, files=digests).to_json(), signer)
    return files


class Place:
    """A publisher's repository, and a node that knows it."""

    def __init__(self, folder: Path, publisher: Signer) -> None:
        self.folder, self.publisher = folder, publisher
        self.repository, self.cached = folder / "www", folder / "cache"
        self.cache = Cache(self.cached, folder / "base", folder / "lock")
        remotes = Remotes(folder / "etc", folder / "state")
        self.client = Client(remotes, self.cache, folder / "lock", Silent())
        self.put(make(folder / "built", publisher))
        remotes.add("main", f"file://{self.repository}", publisher.public_key)

    def cached_names(self) -> list[str]:
        """What of the template's own is in the cache."""
        found = names_in(self.cached)
        return [name for name in found if name.startswith(NAME) and not name.endswith(".origin")]

    def put(self, files: TemplateFiles) -> None:
        signer = self.publisher
        publish(self.repository, [files.archive], signer.keyring, signer.fingerprint)


@pytest.fixture
def place(tmp_path: Path, publisher: Signer) -> Place:
    return Place(tmp_path, publisher)


def test_they_are_published_fetched_and_removed_with_the_template(place: Place) -> None:
    assert names_in(place.repository / "templates" / NAME / OLD) == ALL
    place.client.fetch(NAME)
    assert place.cached_names() == ALL
    place.cache.remove(NAME, set)
    assert place.cached_names() == []


def test_an_altered_one_is_not_fetched(place: Place) -> None:
    (place.repository / "templates" / NAME / OLD / f"{NAME}.cdx.json").write_text("[]\n")
    with pytest.raises(VerificationError, match=r"cdx\.json is not what the signed index says"):
        place.client.fetch(NAME)
    assert place.cached_names() == []


def test_one_that_a_mirror_lacks_stops_the_fetch(place: Place) -> None:
    (place.repository / "templates" / NAME / OLD / f"{NAME}.provenance.json").unlink()
    with pytest.raises(NotFoundError):
        place.client.fetch(NAME)
    assert place.cached_names() == []


def test_a_build_without_them_leaves_none_of_the_build_before(place: Place) -> None:
    place.client.fetch(NAME)
    place.put(make_template(place.folder / "built", place.publisher, serial=NEW))
    assert place.client.fetch(NAME).changed
    assert place.cached_names() == [f"{NAME}.json", f"{NAME}.json.asc", f"{NAME}.tar.zst"]


def test_verifying_and_publishing_refuse_an_altered_one(place: Place) -> None:
    files = make(place.folder / "other", place.publisher, serial=NEW)
    assert verify(files.archive, place.publisher.public_key).signer == place.publisher.fingerprint
    files.sbom.write_text("altered\n")
    with pytest.raises(VerificationError, match=r"cdx\.json is not what the signed manifest says"):
        place.put(files)
    files.sbom.unlink()  # to verify what was carried by hand without it is fine
    verify(files.archive, place.publisher.public_key)
    with pytest.raises(FileNotFoundError):
        place.put(files)
    assert names_in(place.repository / "templates" / NAME) == [OLD]


def test_one_that_no_manifest_names_stays_behind(place: Place) -> None:
    files = make_template(place.folder / "built", place.publisher, serial=NEW)
    files.sbom.write_text("whose?\n")
    place.put(files)
    assert f"{NAME}.cdx.json" not in names_in(place.repository / "templates" / NAME / NEW)
