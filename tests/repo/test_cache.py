import os
import shutil
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.fakes import NAME, NEW, Signer, fake_program, make_template, names_in
from vztmpl.errors import NotFoundError, UsageError, VerificationError, VztmplError
from vztmpl.repo.cache import Cache
from vztmpl.template.manifest import Manifest


class Place:
    """A cache with one template in it."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder, self.bases, self.locks = folder / "cache", folder / "base", folder / "lock"
        self.signer = signer
        self.put()
        self.cache = Cache(self.folder, self.bases, self.locks)

    def put(self, **how: str) -> None:
        built = self.folder.with_name("built")
        shutil.rmtree(built, ignore_errors=True)
        built.mkdir()
        files = make_template(built, self.signer, **how)
        self.folder.mkdir(exist_ok=True)
        for file in files.all:
            shutil.copy(file, self.folder)


@pytest.fixture
def place(tmp_path: Path, publisher: Signer) -> Place:
    return Place(tmp_path, publisher)


def nothing_in_use() -> set[str]:
    return set()


def digest(place: Place) -> str:
    return place.cache.find(NAME).digest


def test_a_cached_template_is_found(place: Place) -> None:
    manifest = place.cache.find(NAME)
    assert manifest == Manifest.parse((place.folder / f"{NAME}.json").read_bytes(), "x")
    (entry,) = place.cache.entries()
    assert entry.manifest == manifest


def test_a_template_that_is_not_cached_is_answered_with_what_to_do(place: Place) -> None:
    with pytest.raises(NotFoundError, match="tiny-2-x86_64 is not in the cache") as caught:
        place.cache.find("tiny-2-x86_64")
    assert caught.value.hint == f"`vztmpl fetch tiny-2-x86_64` gets it; cached: {NAME}"
    with pytest.raises(UsageError, match="is not a template name"):
        place.cache.find(f"../cache/{NAME}")


def test_a_node_without_cache_has_no_templates(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "none", tmp_path / "none", tmp_path / "lock")
    assert cache.entries() == []
    with pytest.raises(NotFoundError):
        cache.find(NAME)
    cache.remove_unused_bases(nothing_in_use)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda folder: (folder / f"{NAME}.tar.zst").unlink(), "is missing"),
        (lambda folder: (folder / f"{NAME}.tar.zst").write_bytes(b"x"), "another size"),
        (lambda folder: (folder / f"{NAME}.json").write_bytes(b"{}"), "not a manifest"),
    ],
)
def test_a_broken_template_is_listed_as_broken(
    place: Place, damage: Callable[[Path], object], problem: str
) -> None:
    damage(place.folder)
    (entry,) = place.cache.entries()
    assert entry.manifest is None
    assert problem in entry.problem
    with pytest.raises(VerificationError, match=problem):
        place.cache.find(NAME)


def test_a_manifest_under_another_name_is_broken(place: Place) -> None:
    for file in place.folder.iterdir():
        file.rename(file.with_name(file.name.replace(NAME, "other-1-x86_64")))
    with pytest.raises(VerificationError, match=f"its manifest is that of {NAME}"):
        place.cache.find("other-1-x86_64")


def test_a_base_is_unpacked_once(place: Place) -> None:
    base = place.cache.base(NAME)
    assert base == place.bases / digest(place)
    assert (base / "etc/motd").read_text() == "hello\n"
    (base / "mark").touch()
    assert place.cache.base(NAME) == base
    assert (base / "mark").exists()
    assert place.cache.has_base(place.cache.find(NAME))


def test_the_root_of_a_base_has_the_mode_of_the_tar(place: Place) -> None:
    before = os.umask(0o077)
    try:
        base = place.cache.base(NAME)
    finally:
        os.umask(before)
    assert base.stat().st_mode & 0o7777 == 0o755


def test_an_archive_that_is_not_what_its_manifest_says_makes_no_base(place: Place) -> None:
    archive = place.folder / f"{NAME}.tar.zst"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(VztmplError) as caught:
        place.cache.base(NAME)
    assert f"while unpacking {NAME}" in caught.value.__notes__
    assert names_in(place.bases) == []


def test_what_a_killed_process_left_is_removed(place: Place) -> None:
    left = place.bases / f".{digest(place)}.01234567"
    left.mkdir(parents=True)
    place.cache.base(NAME)
    assert names_in(place.bases) == [digest(place)]


def test_two_processes_unpack_a_base_once(
    monkeypatch: pytest.MonkeyPatch, place: Place, tmp_path: Path
) -> None:
    tar = fake_program(monkeypatch, tmp_path, "tar", 'sleep 0.3; exec /usr/bin/tar "$@"')
    context = get_context("fork")
    both = [context.Process(target=place.cache.base, args=(NAME,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)
    assert [one.exitcode for one in both] == [0, 0]
    assert len(tar.calls) == 1


def test_a_removed_template_takes_its_base_along(place: Place) -> None:
    place.cache.base(NAME)
    place.cache.remove(NAME, nothing_in_use)
    assert names_in(place.folder) == names_in(place.bases) == []
    with pytest.raises(NotFoundError):
        place.cache.remove(NAME, nothing_in_use)


def test_a_base_stays_while_a_ve_is_made_of_it(place: Place) -> None:
    used = place.cache.base(NAME)
    place.cache.remove(NAME, lambda: {used.name})
    assert (used / "etc/motd").exists()
    place.cache.remove_unused_bases(nothing_in_use)
    assert not used.exists()


def test_the_base_of_an_older_build_goes_when_nothing_needs_it(place: Place) -> None:
    old = place.cache.base(NAME)
    place.put(serial=NEW, content="new\n")
    new = place.cache.base(NAME)
    place.cache.remove_unused_bases(lambda: {old.name})
    assert old.exists()
    place.cache.remove_unused_bases(nothing_in_use)
    assert names_in(place.bases) == [new.name]


def test_a_base_is_not_removed_while_a_ve_is_being_made(place: Place) -> None:
    with place.cache.using(NAME) as base:
        place.cache.remove(NAME, nothing_in_use)
        assert (base / "etc/motd").exists()
    place.cache.remove_unused_bases(nothing_in_use)
    assert not base.exists()


def test_a_broken_template_can_be_removed(place: Place) -> None:
    (place.folder / f"{NAME}.json").write_text("{}")
    place.cache.remove(NAME, nothing_in_use)
    assert names_in(place.folder) == []


def test_finding_a_base_that_is_there_takes_no_time(place: Place) -> None:
    place.cache.base(NAME)
    began = time.perf_counter()
    for _ in range(10):
        with place.cache.using(NAME):
            pass
    assert (time.perf_counter() - began) / 10 < 0.02
