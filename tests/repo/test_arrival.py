"""Downloads that break, mirrors that fail, deltas that help or harm."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests import fakes
from tests.fakes import (
    NAME,
    NEW,
    OLD,
    FakeServer,
    SignedRepository,
    Signer,
    make_template,
    names_in,
    web_server,
)
from vztmpl.errors import NetworkError, VerificationError
from vztmpl.progress import Silent
from vztmpl.repo import parallel
from vztmpl.repo.cache import Cache
from vztmpl.repo.client import Client, Fetched
from vztmpl.repo.origin import Origin
from vztmpl.repo.publish import publish
from vztmpl.repo.remote import Remotes
from vztmpl.repo.source import Patience
from vztmpl.repo.verify import verify_base, verify_cached
from vztmpl.template import delta
from vztmpl.template.entry import File

HURRY = Patience(connect_seconds=2, silent_seconds=2, least_bytes=10_000, window_seconds=0.3)
BIG = {serial: os.urandom(150_000).hex() for serial in (OLD, NEW)}


class Place(SignedRepository):
    """A repository with two builds, an old and a new one, on two servers, and a node."""

    def __init__(self, folder: Path, repository: Path, publisher: Signer, url: str) -> None:
        self.folder, self.publisher = folder, publisher
        self.repository = repository
        self.remotes = Remotes(folder / "etc", folder / "state")
        self.cache = Cache(folder / "cache", folder / "base", folder / "lock")
        self.client = Client(self.remotes, self.cache, folder / "lock", Silent(), patience=HURRY)
        self.url = url

    def knows(self, *urls: str) -> None:
        self.remotes.add("main", urls[0], self.publisher.public_key, urls[1:])

    def fetch(self) -> Fetched:
        return self.client.fetch(NAME)

    def offer_only(self, serial: str) -> None:
        index = self.index()
        entries = [entry for entry in index.entries if entry.serial == serial]
        self.put_index(index.next(entries, index.created, keys=index.keys))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, publisher: Signer) -> Path:
    """A repository with an old and a new build, and the delta between them."""
    folder = tmp_path_factory.mktemp("both")
    for serial in (OLD, NEW):
        built = folder / serial
        built.mkdir()
        content = BIG[OLD] + ("" if serial == OLD else BIG[NEW][:100])
        files = make_template(built, publisher, serial=serial, content=content)
        publish(folder / "www", [files.archive], publisher.keyring, publisher.fingerprint)
    return folder / "www"


@pytest.fixture
def first(tmp_path: Path, both: Path) -> Iterator[FakeServer]:
    shutil.copytree(both, tmp_path / "www")
    with web_server(tmp_path / "www") as server:
        yield server


@pytest.fixture
def second(tmp_path: Path, first: FakeServer) -> Iterator[FakeServer]:
    assert first.url
    with web_server(tmp_path / "www") as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, publisher: Signer, first: FakeServer) -> Place:
    return Place(tmp_path, tmp_path / "www", publisher, first.url)


def is_good(place: Place, serial: str = NEW) -> bool:
    verified = verify_cached(place.cache, NAME, place.publisher.public_key, Silent())
    verify_base(place.cache, NAME, Silent())
    hidden = [name for name in names_in(place.folder / "cache") if name.startswith(".")]
    return (
        verified.manifest.serial == serial
        and hidden == [".partial"]
        and names_in(place.cache.partial) == []
        and len(names_in(place.folder / "base")) <= 2
    )


def partial_bytes(place: Place) -> int:
    (found,) = [path for path in place.cache.partial.glob("*") if not path.suffix]
    return found.stat().st_size


def test_a_broken_download_is_gone_on_with(place: Place, first: FakeServer) -> None:
    place.knows(first.url)
    first.faults[".tar.zst"] = fakes.dies_halfway
    with pytest.raises(NetworkError):
        place.fetch()
    there = partial_bytes(place)
    assert there > 10_000
    first.faults.clear()
    first.ranges.clear()
    assert place.fetch().changed
    assert f"bytes={there}-" in first.ranges
    assert is_good(place)


def test_a_server_that_knows_no_ranges_sends_all_again(place: Place, first: FakeServer) -> None:
    place.knows(first.url)
    first.faults[".tar.zst"] = fakes.dies_halfway
    with pytest.raises(NetworkError):
        place.fetch()
    first.faults[".tar.zst"] = fakes.knows_no_ranges
    assert place.fetch().changed
    assert is_good(place)


@pytest.mark.parametrize(
    "fault",
    [fakes.corrupts_ranges, fakes.lies_about_ranges, fakes.answers(416), fakes.answers(206)],
)
def test_a_bad_answer_to_a_range_does_no_harm(
    place: Place, first: FakeServer, fault: fakes.Fault
) -> None:
    place.knows(first.url)
    first.faults[".tar.zst"] = fakes.dies_halfway
    with pytest.raises(NetworkError):
        place.fetch()
    first.faults[".tar.zst"] = fault
    with pytest.raises((NetworkError, VerificationError)):
        place.fetch()
    assert not (place.folder / "cache" / f"{NAME}.json").exists()
    assert names_in(place.folder / "base") == []
    first.faults.clear()
    assert place.fetch().changed
    assert is_good(place)


def test_what_lies_on_the_disk_is_not_trusted_either(place: Place, first: FakeServer) -> None:
    place.knows(first.url)
    first.faults[".tar.zst"] = fakes.dies_halfway
    with pytest.raises(NetworkError):
        place.fetch()
    (found,) = [path for path in place.cache.partial.glob("*") if not path.suffix]
    found.write_bytes(b"?" * found.stat().st_size)
    first.faults.clear()
    assert place.fetch().changed, "the second try begins anew"
    assert is_good(place)


@pytest.mark.parametrize(
    "fault",
    [
        fakes.answers(404), fakes.answers(500), fakes.says_nothing, fakes.dies_halfway,
        fakes.alters, fakes.sends(b"x"), fakes.endless, fakes.drips,
        fakes.leads_to("http://10.0.0.1/x"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["index.json.asc", f"{NAME}.json", ".tar.zst"])
def test_another_mirror_helps(
    place: Place, first: FakeServer, second: FakeServer, path: str, fault: fakes.Fault
) -> None:
    place.knows(first.url, second.url)
    first.faults[path] = fault
    assert place.fetch().changed
    assert is_good(place)


def test_a_mirror_that_dies_midway_is_gone_on_from_by_another(
    place: Place, first: FakeServer, second: FakeServer
) -> None:
    place.knows(first.url, second.url)
    first.faults[".tar.zst"] = fakes.dies_halfway
    assert place.fetch().changed
    assert second.ranges
    assert is_good(place)


def test_a_mirror_that_is_behind_is_passed_over(
    place: Place, first: FakeServer, second: FakeServer
) -> None:
    place.knows(second.url, first.url)
    old = (place.repository / "index.json.asc").read_bytes()
    place.offer_only(OLD)
    assert place.fetch().manifest.serial == OLD
    second.faults["index.json.asc"] = fakes.sends(old)
    assert not place.fetch().changed


def test_when_all_mirrors_fail_a_refusal_is_what_is_told(
    place: Place, first: FakeServer, second: FakeServer
) -> None:
    place.knows(first.url, second.url)
    first.faults[".tar.zst"] = fakes.alters
    second.faults[".tar.zst"] = fakes.answers(500)
    with pytest.raises(VerificationError):
        place.fetch()


def test_an_index_that_did_not_change_is_not_sent_again(place: Place, first: FakeServer) -> None:
    place.knows(first.url)
    place.fetch()
    first.asked.clear()
    assert not place.fetch().changed
    assert first.asked == ["/index.json.asc"]
    assert first.not_modified == 1


def with_old_build(place: Place) -> None:
    place.knows(place.url)
    everything = place.index()
    place.offer_only(OLD)
    assert place.fetch().manifest.serial == OLD
    place.put_index(replace(everything, serial=place.index().serial + 1))


def delta_file(place: Place) -> Path:
    (found,) = place.repository.rglob("since-*")
    return found


def test_a_delta_saves_the_download(place: Place, first: FakeServer) -> None:
    with_old_build(place)
    first.asked.clear()
    fetched = place.fetch()
    assert fetched.by_delta
    assert (fetched.base / "etc/motd").read_text() == BIG[OLD] + BIG[NEW][:100]
    assert not [path for path in first.asked if path.endswith(".tar.zst")]
    assert delta_file(place).stat().st_size < 3_000
    assert is_good(place)
    origin = Origin.load(place.cache.origin_file(NAME))
    assert origin.archive_bytes == place.cache.files(NAME).archive.stat().st_size
    assert not place.fetch().changed


def test_a_delta_works_when_the_old_base_was_removed(place: Place) -> None:
    with_old_build(place)
    place.cache.remove_unused_bases(set, kept=set())
    assert place.fetch().by_delta


def spoilt(place: Place) -> None:
    delta_file(place).write_bytes(b"?" * delta_file(place).stat().st_size)


def missing(place: Place) -> None:
    delta_file(place).unlink()


def written_by(place: Place, content: bytes) -> None:
    """Put a delta there that the publisher himself signed in."""
    path = delta_file(place)
    path.write_bytes(content)
    index = place.index()
    entry = index.newest(NAME)
    assert entry
    said = File(size_bytes=len(content), sha256=sha256(content).hexdigest())
    entry = replace(entry, files={**entry.files, path.name: said})
    others = [one for one in index.entries if one.serial != NEW]
    place.put_index(replace(index, entries=(*others, entry), serial=index.serial + 1))


def hostile(place: Place) -> None:
    from tests.template.test_delta import delta_of, operation

    steps = (operation(1, b"../../../../etc/passwd"), operation(2, size=100))
    written_by(place, delta_of(*steps))


def of_another_tree(place: Place) -> None:
    from tests.template.test_delta import delta_of, operation

    written_by(place, delta_of(operation(0, b"not the tar")))


def of_an_altered_base(place: Place) -> None:
    with (place.cache.base(NAME) / "etc/motd").open("r+") as file:
        file.write("somebody was here")


@pytest.mark.parametrize("harm", [spoilt, missing, hostile, of_another_tree, of_an_altered_base])
def test_without_a_good_delta_the_whole_is_fetched(
    place: Place, harm: Callable[[Place], None]
) -> None:
    with_old_build(place)
    harm(place)
    fetched = place.fetch()
    assert (fetched.changed, fetched.by_delta) == (True, False)
    assert is_good(place)


def test_a_delta_that_is_larger_than_half_is_not_published(both: Path) -> None:
    names = {path.name for path in both.rglob("since-*")}
    assert len(names) == 1
    assert all(delta.since(name) for name in names)


def test_what_one_template_does_wrong_stops_no_other(place: Place) -> None:
    place.knows(place.url)

    def client(_: object) -> Client:
        return place.client

    fetched, failed = parallel.fetch_all(
        client, [NAME, "none-1-x86_64", "none-2-x86_64"], "", Silent()
    )
    assert [one.manifest.name for one in fetched] == [NAME]
    assert ["no template" in str(error) for error in failed] == [True, True]


_KILLED = """
import os, sys
from pathlib import Path
from vztmpl.progress import Silent
from vztmpl.repo.cache import Cache
from vztmpl.repo.client import Client
from vztmpl.repo.remote import Remotes
root, name, wanted = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
seen = 0
def audit(event, arguments):
    global seen
    if event in ("os.rename", "os.mkdir", "os.rmdir", "os.remove", "open", "subprocess.Popen"):
        if any(str(root) in str(argument) for argument in arguments):
            seen += 1
            if seen == wanted:
                os.kill(os.getpid(), 9)
cache = Cache(root / "cache", root / "base", root / "lock")
client = Client(Remotes(root / "etc", root / "state"), cache, root / "lock", Silent())
sys.addaudithook(audit)
client.fetch(name)
"""


def test_killed_at_any_step_the_next_fetch_finishes_and_nothing_is_lost(place: Place) -> None:
    """Every change of the disk is a step; about thirty of them are tried, spread over all."""
    with_old_build(place)
    shutil.copytree(place.folder, saved := place.folder.with_name("saved"), symlinks=True)
    step, killed = 1, 0
    while True:
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, place.folder, NAME, str(step)], check=False
        )
        for part in ("cache", "base", "state"):
            where = place.folder / part
            assert where.is_dir()
        serial = place.cache.find(NAME).serial
        assert serial in (OLD, NEW), "the old or the new one is always there, and whole"
        assert is_whole(place)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
        assert place.fetch().manifest.serial == NEW
        assert is_good(place)
        for part in ("cache", "base", "state"):
            shutil.rmtree(place.folder / part)
            shutil.copytree(saved / part, place.folder / part, symlinks=True)
        step += 1 + step // 6
    assert killed > 10


def is_whole(place: Place) -> bool:
    verify_cached(place.cache, NAME, place.publisher.public_key, Silent())
    return True


def test_a_full_disk_leaves_the_old_template(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_old_build(place)
    delta_file(place).unlink()
    with monkeypatch.context() as patch:
        fakes.fake_program(
            patch, tmp_path, "tar", "cat >/dev/null; echo 'No space left on device' >&2; exit 2"
        )
        with pytest.raises(Exception, match="the disk is full"):
            place.fetch()
    assert place.cache.find(NAME).serial == OLD
    assert is_whole(place)
    assert place.fetch().manifest.serial == NEW
    assert is_good(place)


def test_a_server_that_drips_is_left_soon(place: Place, first: FakeServer) -> None:
    place.knows(first.url)
    first.faults[".tar.zst"] = fakes.drips
    began = time.monotonic()
    with pytest.raises(NetworkError, match="too slow"):
        place.fetch()
    assert time.monotonic() - began < 20, "a test that hangs is a failure"


def test_headers_that_never_end_are_left_soon(place: Place, first: FakeServer) -> None:
    place.knows(first.url)
    first.faults["index.json.asc"] = fakes.drips_headers
    with pytest.raises(NetworkError):
        place.fetch()
