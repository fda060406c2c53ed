import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.fakes import Signer, names_in
from vztmpl.errors import ConfigError, NotFoundError, UsageError, VztmplError
from vztmpl.repo.remote import Remotes
from vztmpl.template.index import EMPTY

URL = "https://templates.example/tree"


@pytest.fixture
def remotes(tmp_path: Path) -> Remotes:
    return Remotes(tmp_path / "etc", tmp_path / "state")


def test_a_remote_is_known_with_its_keys(remotes: Remotes, publisher: Signer) -> None:
    remotes.add("main", URL, publisher.public_key)
    (found,) = remotes.all()
    assert found == remotes.find("main")
    assert (found.name, found.url) == ("main", URL)
    assert found.keys.read_bytes() == publisher.public_key


def test_adding_the_same_twice_is_fine(remotes: Remotes, publisher: Signer) -> None:
    remotes.add("main", URL, publisher.public_key)
    remotes.add("main", URL, publisher.public_key)
    assert len(remotes.all()) == 1


def test_another_of_the_same_name_is_refused(
    remotes: Remotes, publisher: Signer, stranger: Signer
) -> None:
    remotes.add("main", URL, publisher.public_key)
    for url, key in ((URL + "2", publisher.public_key), (URL, stranger.public_key)):
        with pytest.raises(VztmplError, match="there is another remote called main"):
            remotes.add("main", url, key)
    assert remotes.find("main").keys.read_bytes() == publisher.public_key


@pytest.mark.parametrize("name", ["", "Main", "-x", "../x", "a/b", "a b", ".hidden", "x\n", "ä"])
def test_a_name_is_a_plain_word(remotes: Remotes, publisher: Signer, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a remote"):
        remotes.add(name, URL, publisher.public_key)
    with pytest.raises(NotFoundError):
        remotes.find(name)


@pytest.mark.parametrize(
    "url",
    [
        "", "templates.example", "ftp://templates.example/", "https://", "https:///tree",
        "file://host/tree", "file:relative", "/srv/tree", "https://a.example/?x=1",
        "https://a.example/#x", "https://[bad",
    ],
)  # fmt: skip
def test_a_url_says_scheme_and_place(remotes: Remotes, publisher: Signer, url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        remotes.add("main", url, publisher.public_key)


def test_a_damaged_memory_is_named(remotes: Remotes, publisher: Signer, tmp_path: Path) -> None:
    remote = remotes.add("main", URL, publisher.public_key)
    for text in ("seven", "[]", '{"serial": "7"}'):
        (tmp_path / "state/remotes/main.json").write_text(text)
        with pytest.raises(ConfigError, match=r"remotes/main\.json: content"):
            remotes.memory(remote)


def test_mirrors_are_kept_and_checked(remotes: Remotes, publisher: Signer) -> None:
    remotes.add("main", URL, publisher.public_key, ["https://mirror.example/x"])
    assert remotes.find("main").urls == (URL, "https://mirror.example/x")
    with pytest.raises(UsageError, match="URL"):
        remotes.add("other", URL, publisher.public_key, ["ftp://x/"])


@pytest.mark.parametrize("url", ["http://a.example", "https://a.example:8443/x/", "file:///srv/x"])
def test_these_urls_are_fine(remotes: Remotes, publisher: Signer, url: str) -> None:
    assert remotes.add("main", url, publisher.public_key).url == url
    assert remotes.find("main").url == url


def test_without_keys_nothing_is_added(remotes: Remotes, tmp_path: Path) -> None:
    with pytest.raises(VztmplError, match="not an OpenPGP"):
        remotes.add("main", URL, b"hello")
    assert names_in(tmp_path / "etc") == []


def test_a_removed_remote_leaves_nothing(
    remotes: Remotes, publisher: Signer, tmp_path: Path
) -> None:
    remote = remotes.add("main", URL, publisher.public_key)
    remotes.remember(remote, lambda memory: replace(memory, serial=7))
    remotes.remove("main")
    assert remotes.all() == []
    assert names_in(tmp_path / "etc/trust") == names_in(tmp_path / "etc/remotes.d") == []
    assert names_in(tmp_path / "state/remotes") == [".lock"]
    with pytest.raises(NotFoundError, match="no remote is called 'main'"):
        remotes.remove("main")


def test_the_index_seen_never_grows_older(remotes: Remotes, publisher: Signer) -> None:
    remote = remotes.add("main", URL, publisher.public_key)
    assert not remotes.has_index(remote)
    for serial in (3, 7, 5):
        text = replace(EMPTY, serial=serial).to_json()
        remotes.remember_index(remote, text, partial(replace, serial=serial, signer="x"))
    assert remotes.memory(remote).serial == remotes.index(remote).serial == 7


def test_keys_that_the_admin_changes_begin_a_new_memory(
    remotes: Remotes, publisher: Signer, stranger: Signer
) -> None:
    remote = remotes.add("main", URL, publisher.public_key)
    remotes.remember(remote, lambda memory: replace(memory, serial=7, dropped=("A",)))
    remote.keys.write_bytes(stranger.public_key)
    assert remotes.memory(remote).serial == 0
    assert remotes.memory(remote).trust.keys == stranger.public_key


def test_a_file_that_makes_no_sense_is_named(remotes: Remotes, tmp_path: Path) -> None:
    folder = tmp_path / "etc/remotes.d"
    folder.mkdir(parents=True)
    for text, problem in (
        ("url = ", "syntax"),
        ("", "url: is required"),
        ('url="a"\nx=1', "x: is"),
    ):
        (folder / "main.toml").write_text(text)
        with pytest.raises(ConfigError, match=rf"remotes\.d/main\.toml: {problem}"):
            remotes.find("main")
        assert remotes.all() == []
        (found,) = remotes.problems()
        assert f"main.toml: {problem}" in str(found)


@pytest.mark.parametrize(
    "text", ['url = "http://[::1"', 'url = "ftp://x/"', "url = 1", "url = " + "[" * 100_000]
)
def test_a_file_with_a_url_that_can_not_be_used_is_named(
    remotes: Remotes, tmp_path: Path, publisher: Signer, text: str
) -> None:
    remotes.add("main", "file:///x", publisher.public_key)
    (path,) = tmp_path.rglob("main.toml")
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"main\.toml: (url|syntax): "):
        remotes.find("main")


def test_the_keys_may_be_read_by_everybody(
    remotes: Remotes, publisher: Signer, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        remotes.add("main", URL, publisher.public_key)
    finally:
        os.umask(before)
    assert (tmp_path / "etc/trust/main.asc").stat().st_mode & 0o777 == 0o644
