"""The commands for repositories, remotes and the cache, from the command line."""

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import NAME, NEW, OLD, Signer, make_template, names_in, web_server
from vztmpl.cli.vzctl import main as vzctl
from vztmpl.cli.vztmpl import main
from vztmpl.template.signature import Keyring

NEWER, NEWEST = "20260303T0000Z", "20260404T0000Z"
IMPORTED = "other-1-x86_64"
DAY = 86400


class Shell:
    """A node with a repository of its own, its key, and what commands said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], url: str) -> None:
        self.folder, self.capsys, self.url = folder, capsys, url
        self.repo = folder / "www"
        self.node = folder / "node"
        self.signer = Signer.new(self.node / "var/lib/vztmpl/keys", "This Machine")
        self.out = self.err = ""

    def __call__(self, *words: object) -> int:
        status = main([str(word) for word in words])
        self.out, self.err = self.capsys.readouterr()
        return status

    def json(self, *words: object) -> Any:
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)

    def publish(self, serial: str, content: str = "") -> None:
        built = self.folder / f"built-{serial}"
        built.mkdir()
        files = make_template(built, self.signer, serial=serial, content=content or serial)
        (built / f"{NAME}.boot-test.json").write_text("{}")
        assert self("publish", self.repo, files.archive) == 0, self.err

    def add(self) -> None:
        assert self("remote", "add", "main", self.url, "--key", self.repo / "key.asc") == 0

    def used(self, name: str, days_ago: float) -> None:
        when = time.time() - days_ago * DAY
        os.utime(self.node / f"vz/template/cache/{name}.tar.zst", (when, when))

    def cached(self) -> list[str]:
        assert self("list", "--json") == 0
        return [one["name"] for one in json.loads(self.out)]

    def bases(self) -> list[str]:
        return names_in(self.node / "vz/template/base")


@pytest.fixture
def sh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shell]:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    (tmp_path / "www").mkdir()
    with web_server(tmp_path / "www") as server:
        yield Shell(tmp_path, capsys, server.url)


def test_a_node_sees_what_is_new_and_what_changed(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("available") == 0
    assert "main: not asked yet, see `vztmpl update`" in sh.err
    assert sh("info", NAME) == 3
    assert sh("update") == 0
    assert sh.out == "main: index 1, 1 templates\n"
    (offered,) = sh.json("available")
    assert (offered["name"], offered["serial"], offered["cached_serial"]) == (NAME, OLD, None)
    assert sh("available", "tiny", "nothing-like-it") == 0
    assert NAME not in sh.out
    assert sh("fetch", NAME) == 0
    sh.publish(NEW)
    assert sh("update") == 0
    assert sh("available") == 0
    assert f"older: {OLD}" in sh.out
    assert sh("info", NAME) == 0
    assert f"{NAME}.boot-test.json" in sh.out
    update = sh.json("update", "main", "--fetch")
    assert update["fetched"] == [{"name": NAME, "serial": NEW}]
    told = sh.json("info", NAME)
    assert (told["cached"]["serial"], told["cached"]["source"]) == (NEW, "main")
    assert told["offered"][0]["changes"]["since"] == OLD
    shown = sh.json("remote", "show", "main")
    assert (shown["index_serial"], shown["keys"]) == (2, [sh.signer.fingerprint])


def test_a_remote_whose_file_is_broken_keeps_no_other_from_working(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    (sh.node / "etc/vz/remotes.d/broken.toml").write_text("url = ")
    assert sh("fetch", NAME) == 0
    assert sh("remote", "list") == 0
    assert "broken.toml: syntax" in sh.err
    assert sh("update") == 1
    assert "main: index 1" in sh.out
    assert sh("fetch", "none-1-x86_64") == 1
    assert "broken.toml" in sh.err


def test_a_bad_index_is_exit_code_6_and_the_good_remote_is_asked_all_the_same(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    (sh.folder / "other").mkdir()
    (sh.folder / "other/index.json.asc").write_text("nothing signed")
    assert (
        sh("remote", "add", "bad", f"file://{sh.folder}/other", "--key", sh.repo / "key.asc") == 0
    )
    assert sh("update") == 6
    assert "main: index 1" in sh.out
    assert "while updating bad" in sh.err


def test_one_template_that_can_not_be_fetched_stops_no_other(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("fetch", "none-1-x86_64", NAME) == 3
    assert f"{NAME} {OLD} fetched from main" in sh.out


def test_a_cache_keeps_to_its_limits_but_keeps_what_is_pinned_or_in_use(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("fetch", NAME) == 0
    assert sh("prune") == 2
    sh.used(NAME, days_ago=10)
    assert sh("pin", NAME) == 0
    assert sh("prune", "--max-age", "5", "--max-size", "0") == 0
    assert sh.cached() == [NAME]
    assert sh("unpin", NAME) == 0
    (sh.node / "etc/vz/conf").mkdir(parents=True)
    (sh.node / "etc/vz/conf/101.conf").touch()
    live = sh.node / "vz/private/101/live"
    live.mkdir(parents=True)
    (live / "base").symlink_to(sh.node / "vz/template/base" / sh.bases()[0])
    assert sh("prune", "--max-age", "5") == 0
    assert sh.cached() == [NAME]
    (live / "base").unlink()
    assert sh("prune", "--max-age", "20", "--max-size", "1G") == 0
    assert sh.cached() == [NAME]
    assert sh.json("prune", "--max-age", "5") == {"removed": [NAME]}
    assert sh.cached() == sh.bases() == []
    assert sh("pin", NAME) == 3
    assert sh("prune", "--max-size", "many") == 1


def test_the_least_used_goes_first(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("fetch", NAME) == 0
    tar(sh, "other.tar", "other")
    assert sh("import", sh.folder / "other.tar", "--name", IMPORTED, "--unsigned") == 0
    for oldest, left in ((NAME, IMPORTED), (IMPORTED, NAME)):
        assert sh("fetch", NAME) == 0
        sh.used(oldest, days_ago=2)
        sh.used(left, days_ago=1)
        size = (sh.node / f"vz/template/cache/{left}.tar.zst").stat().st_size
        assert sh.json("prune", "--max-size", size) == {"removed": [oldest]}


def test_limits_in_vz_conf_count_after_every_fetch(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    tar(sh, "other.tar", "other")
    assert sh("import", sh.folder / "other.tar", "--name", IMPORTED, "--unsigned") == 0
    sh.used(IMPORTED, days_ago=40)
    (sh.node / "etc/vz/vz.conf").write_text('CACHE_MAX_AGE="30"\n')
    assert sh("fetch", NAME) == 0
    assert sh.cached() == [NAME]


def test_rubbish_is_collected(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("fetch", NAME) == 0
    partial = sh.node / "vz/template/cache/.partial/abc"
    partial.write_text("half")
    assert sh("gc") == 0
    assert partial.exists()
    assert len(sh.bases()) == 1
    left = [sh.node / "vz/template/base" / f".{sh.bases()[0]}.01234567", partial]
    left += [sh.node / "vz/template/cache/.import-01234567"]
    for folder in (left[0], left[2]):
        (folder / "etc").mkdir(parents=True)
    for path in left[1:]:
        os.utime(path, (0, 0))
    assert sh("gc", "--bases") == 0
    assert not [path for path in left if path.exists()]
    assert sh.bases() == []
    assert sh("verify", NAME, "--deep") == 0
    assert sh("pin", NAME) == 0
    assert sh("gc", "--bases") == 0
    assert len(sh.bases()) == 1


def test_a_base_that_somebody_wrote_to_is_found_out(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("fetch", NAME) == 0
    assert sh("verify", NAME, "--deep") == 0
    base = sh.node / "vz/template/base" / sh.bases()[0]
    (base / "etc/new").touch()
    (base / "bin").unlink()
    (base / "etc/motd").chmod(0o600)
    assert sh("verify", NAME) == 0
    assert sh("verify", NAME, "--deep") == 6
    for line in ("bin is missing", "etc/new does not belong there", "etc/motd has another mode"):
        assert line in sh.err
    assert len(sh.bases()) == 1


def test_a_repository_keeps_the_newest_builds_and_their_files_for_a_while(sh: Shell) -> None:
    (sh.repo / "repository.toml").write_text("keep = 2\n")
    for serial in (OLD, NEW, NEWER):
        sh.publish(serial)
    assert f"{NAME} {OLD} left the index" in sh.out
    builds = sh.repo / "templates" / NAME
    assert names_in(builds) == [OLD, NEW, NEWER], "a reader of the index before may want them"
    checked = sh.json("repo", "check", sh.repo)
    assert (checked["builds"], checked["problems"]) == (2, [])
    assert checked["left_over"] == [f"templates/{NAME}/{OLD}"]
    os.utime(builds / OLD, (time.time() - 2 * DAY,) * 2)
    sh.publish(NEWEST)
    assert names_in(builds) == [NEW, NEWER, NEWEST]
    assert sh("repo", "prune", sh.repo, "--keep", "1", "--grace", "0") == 0
    assert names_in(builds) == [NEWEST]
    assert sh("publish", sh.repo, sh.folder / f"built-{OLD}" / f"{NAME}.tar.zst") == 0
    assert sh("repo", "prune", sh.repo, "--keep", "1") == 0
    (sh.repo / "repository.toml").write_text("keep = 0\n")
    assert sh("repo", "sign", sh.repo) == 1
    assert "repository.toml: keep: must be between" in sh.err


def test_what_is_wrong_with_a_repository_is_told(sh: Shell) -> None:
    sh.publish(OLD)
    assert sh("repo", "check", sh.repo) == 0
    folder = sh.repo / "templates" / NAME / OLD
    (folder / f"{NAME}.boot-test.json").write_text("{ }")
    (folder / f"{NAME}.json.asc").unlink()
    assert sh("repo", "check", sh.repo) == 6
    assert "boot-test.json is not what the index says" in sh.err
    assert f"{NAME}.json.asc is missing" in sh.err


def test_keys_are_changed_from_the_command_line(sh: Shell) -> None:
    sh.publish(OLD)
    sh.add()
    assert sh("update") == 0
    old = sh.signer.fingerprint
    new = Keyring(sh.node / "var/lib/vztmpl/keys").generate("The Next", "next@example.org")
    assert sh("repo", "sign", sh.repo, "--sign", new) == 6
    assert sh("repo", "sign", sh.repo, "--sign", old, "--add-key", new) == 0
    assert sh("repo", "sign", sh.repo, "--sign", new, "--remove-key", old) == 0
    assert sh("update") == 0
    shown = sh.json("remote", "show", "main")
    assert (shown["keys"], shown["dropped_keys"]) == ([new], [old])
    assert sh("repo", "check", sh.repo) == 6
    assert sh("fetch", NAME) == 6, "the old key's templates count no more"
    assert sh("repo", "sign", sh.repo, "--sign", new, "--resign") == 0
    assert sh("repo", "check", sh.repo) == 0, sh.err
    assert sh("fetch", NAME) == 0
    assert names_in(sh.repo / "templates" / NAME) == [OLD, f"{OLD}-{new[-8:]}"]


def tar(sh: Shell, name: str, content: str, mode: str = "w") -> Path:
    """Make a tarball that looks like a root file system."""
    tree = sh.folder / f"tree-{name}"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "etc/motd").write_text(content)
    path = sh.folder / name
    with tarfile.open(path, mode) as out:  # type: ignore[call-overload]
        for part in ("etc", "usr"):
            out.add(tree / part, part)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zst"])
def test_a_tarball_of_any_origin_is_imported_the_same(sh: Shell, mode: str) -> None:
    path = tar(sh, "rootfs", "hello", "w" if mode == "zst" else mode)
    if mode == "zst":
        import zstandard

        path.write_bytes(zstandard.compress(path.read_bytes()))
    digest = sha256(path.read_bytes()).hexdigest()
    told = sh.json("import", path, "--name", IMPORTED, "--sha256", digest)
    assert told["origin"] == {"source": str(path), "sha256": digest, "proof": "sha256"}
    again = sh.json("import", path, "--name", IMPORTED, "--unsigned")
    assert again["digest"] == told["digest"]
    base = sh.node / "vz/template/base" / told["digest"]
    assert (base / "etc/motd").read_text() == "hello"
    assert sh("verify", IMPORTED) == 0
    assert "none; imported from" in sh.out
    assert sh("list") == 0
    assert not [name for name in names_in(sh.node / "vz/template/cache") if "import" in name]


def test_what_is_imported_is_only_what_was_meant(sh: Shell, stranger: Signer) -> None:
    path = tar(sh, "rootfs.tar", "hello")
    key = sh.folder / "key.asc"
    key.write_bytes(sh.signer.public_key)
    words = ("import", path, "--name", IMPORTED)
    assert sh(*words) == 2
    assert sh(*words, "--unsigned", "--key", key) == 2
    assert sh(*words, "--sha256", "0" * 64) == 6
    assert sh(*words, "--key", key) == 3
    signature = path.with_name("rootfs.tar.asc")
    signature.write_bytes(stranger.keyring.sign(path.read_bytes(), stranger.fingerprint))
    assert sh(*words, "--key", key) == 6
    assert sh.cached() == []
    signature.write_bytes(sh.signer.keyring.sign(path.read_bytes(), sh.signer.fingerprint))
    assert sh(*words, "--key", key) == 0
    told = sh.json("info", IMPORTED)
    assert (told["cached"]["proof"], told["cached"]["signer"]) == (
        "foreign signature",
        sh.signer.fingerprint,
    )


def test_a_tarball_at_a_url_is_imported_and_published(sh: Shell) -> None:
    path = tar(sh, "www/rootfs.tar.gz", "hello", "w:gz") if (sh.folder / "www").is_dir() else None
    assert path
    url = f"{sh.url}/rootfs.tar.gz"
    digest = sha256(path.read_bytes()).hexdigest()
    out = sh.folder / "out"
    words = ("import", url, "--name", IMPORTED, "--sha256", digest, "--out", out)
    assert sh(*words) == 0
    assert sh("publish", sh.repo, out / f"{IMPORTED}.tar.zst") == 0
    assert sh("import", f"{sh.url}/none.tar", "--name", IMPORTED, "--unsigned") == 3
    assert sh("import", "http://127.0.0.1:1/x.tar", "--name", IMPORTED, "--unsigned") == 5


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x1f\x8b\x08broken", b"\xfd7zXZ\0\0\4", b"BZh9"]
)
def test_what_is_no_tarball_is_refused(sh: Shell, content: bytes) -> None:
    (sh.folder / "x.tar").write_bytes(content)
    assert sh("import", sh.folder / "x.tar", "--name", IMPORTED, "--unsigned") in (1, 6)
    assert names_in(sh.node / "vz/template/cache") == []


def test_a_tarball_made_to_fill_the_disk_is_refused(sh: Shell) -> None:
    import gzip

    tar(sh, "rootfs.tar", "x" * (100 << 20))
    path = sh.folder / "bomb.tar.gz"
    path.write_bytes(gzip.compress((sh.folder / "rootfs.tar").read_bytes(), 9))
    assert sh("import", path, "--name", IMPORTED, "--unsigned") == 6
    assert "made to fill the disk" in sh.err


@pytest.mark.root
def test_vzctl_fetches_the_template_that_it_lacks(sh: Shell) -> None:
    sh.publish(OLD)
    assert vzctl(["create", "101", "--ostemplate", NAME]) == 91
    sh.add()
    assert vzctl(["create", "101", "--ostemplate", NAME, "--config", "vswap-256m"]) == 0
    out, _ = sh.capsys.readouterr()
    assert f"{NAME} is not in the cache, fetching it" in out
    assert vzctl(["create", "102", "--ostemplate", "none-1-x86_64"]) == 91
    assert vzctl(["destroy", "101"]) == 0


@pytest.mark.root
def test_a_name_without_its_set_means_the_only_one(sh: Shell) -> None:
    for ctid, name, wanted in (("101", f"{IMPORTED}-big", 0), ("102", f"{IMPORTED}-small", 91)):
        tar(sh, name, name)
        assert sh("import", sh.folder / name, "--name", name, "--unsigned") == 0
        assert vzctl(["create", ctid, "--ostemplate", IMPORTED]) == wanted
    conf = (sh.node / "etc/vz/conf/101.conf").read_text()
    assert f'OSTEMPLATE="{IMPORTED}-big"' in conf
    assert vzctl(["destroy", "101"]) == 0


def test_what_is_available_is_listed_without_anything_slow() -> None:
    code = (
        "import sys; from vztmpl.cli.vztmpl import main; main(['available'])\n"
        "slow = {'requests', 'zstandard', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(','.join(slow) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
