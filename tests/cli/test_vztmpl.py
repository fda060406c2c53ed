"""The command line from key to cache, and its exit codes."""

import json
import os
import subprocess
import sys
import tomllib
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
from vztmpl.cli.vztmpl import main
from vztmpl.files import locked
from vztmpl.settings import load


@pytest.fixture(autouse=True)
def sysroot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    return tmp_path / "node"


class Shell:
    """Runs commands and keeps what they said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path) -> int:
        status = main([str(argument) for argument in arguments])
        self.out, self.err = self._capsys.readouterr()
        return status


@pytest.fixture
def sh(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def ours(sysroot: Path) -> Signer:
    """The key of this machine's own keyring."""
    return Signer.new(sysroot / "var/lib/vztmpl/keys", "This Machine")


def publish(sh: Shell, tmp_path: Path, signer: Signer, **how: str) -> Path:
    built = tmp_path / f"built-{len(list(tmp_path.glob('built-*')))}"
    built.mkdir()
    archive = make_template(built, signer, **how).archive
    assert sh("publish", tmp_path / "www", archive, "--json") == 0
    return archive


def test_a_key_is_made_listed_exported_and_imported(
    monkeypatch: pytest.MonkeyPatch, sh: Shell, tmp_path: Path
) -> None:
    assert sh("key", "generate", "--name", "The Admin", "--email", "a@example.org", "--json") == 0
    fingerprint = json.loads(sh.out)["fingerprint"]
    assert sh("key", "list", "--json") == 0
    assert json.loads(sh.out) == [
        {"fingerprint": fingerprint, "user_id": "The Admin <a@example.org>", "secret": True}
    ]
    assert sh("key", "list") == 0
    assert fingerprint in sh.out
    assert sh("key", "export", fingerprint) == 0
    assert sh.out.startswith("-----BEGIN PGP PUBLIC KEY")
    (tmp_path / "pub.asc").write_text(sh.out)
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "other"))
    assert sh("key", "import", tmp_path / "pub.asc") == 0
    assert sh.out == f"{fingerprint}\n"
    assert sh("key", "export", "nobody@example.org") == 3


def test_a_template_goes_from_publisher_to_cache_and_out(
    sh: Shell, tmp_path: Path, sysroot: Path, ours: Signer
) -> None:
    publish(sh, tmp_path, ours)
    (entry,) = json.loads(sh.out)["templates"]
    assert (entry["name"], entry["serial"], entry["path"]) == (NAME, OLD, f"templates/{NAME}/{OLD}")
    url, key = f"file://{tmp_path}/www", tmp_path / "www/key.asc"
    assert sh("remote", "add", "main", url, "--key", key) == 0
    assert sh("remote", "list", "--json") == 0
    assert json.loads(sh.out) == [{"name": "main", "url": url, "keys": [ours.fingerprint]}]

    assert sh("fetch", NAME, "--json") == 0
    fetched = json.loads(sh.out)
    assert (fetched["changed"], fetched["remote"], fetched["serial"]) == (True, "main", OLD)
    assert f"downloading {NAME} … done in" in sh.err
    assert (Path(fetched["base"]) / "etc/motd").exists()
    assert sh("fetch", NAME) == 0
    assert sh.out == f"{NAME} {OLD} is up to date\n"

    assert sh("list", "--json") == 0
    (listed,) = json.loads(sh.out)
    assert (listed["name"], listed["digest"], listed["unpacked"]) == (NAME, entry["digest"], True)
    assert sh("list") == 0
    assert sh.out.splitlines()[1].split()[:2] == [NAME, OLD]

    assert sh("remove", NAME) == 0
    assert names_in(sysroot / "vz/template/cache") == [".partial"]
    assert names_in(sysroot / "vz/template/cache/.partial") == []
    assert names_in(sysroot / "vz/template/base") == []
    assert sh("remove", NAME) == 3
    assert sh("remote", "remove", "main") == 0
    assert sh("fetch", NAME) == 3


def test_the_base_of_an_older_build_goes_unless_a_ve_uses_it(
    sh: Shell, tmp_path: Path, sysroot: Path, ours: Signer
) -> None:
    publish(sh, tmp_path, ours)
    sh("remote", "add", "main", f"file://{tmp_path}/www", "--key", tmp_path / "www/key.asc")
    bases = []
    for number, serial in enumerate((OLD, NEW, "20260303T0000Z")):
        publish(sh, tmp_path, ours, serial=serial, content="hello\n" if serial == OLD else serial)
        assert sh("fetch", NAME, "--json") == 0
        base = Path(json.loads(sh.out)["base"])
        bases.append(base.name)
        if number == 0:
            (sysroot / "vz/private/101/live").mkdir(parents=True)
            (sysroot / "vz/private/101/live/base").symlink_to(base)
            (sysroot / "etc/vz/conf").mkdir(exist_ok=True)
            (sysroot / "etc/vz/conf/101.conf").write_text("")
    assert set(names_in(sysroot / "vz/template/base")) == {bases[0], bases[2]}


def test_a_broken_template_is_listed_as_such(sh: Shell, sysroot: Path) -> None:
    cache = sysroot / "vz/template/cache"
    cache.mkdir(parents=True)
    (cache / f"{NAME}.json").write_text("{}")
    assert sh("list") == 0
    assert "broken: not a manifest" in sh.out
    assert sh("list", "--json") == 0
    assert "problem" in json.loads(sh.out)[0]


def test_a_good_template_is_verified(
    sh: Shell, tmp_path: Path, publisher: Signer, key_file: Path
) -> None:
    archive = make_template(tmp_path, publisher).archive
    assert sh("verify", archive, "--key", key_file) == 0
    assert sh.out.splitlines()[:2] == [f"{NAME} {OLD} is good", f"signer: {publisher.fingerprint}"]
    assert sh("verify", archive) == 6
    assert "no key to verify with" in sh.err
    sh("remote", "add", "main", "file:///none", "--key", key_file)
    assert sh("verify", archive) == 0


def test_a_template_of_our_own_is_verified_with_our_own_key(
    sh: Shell, tmp_path: Path, ours: Signer
) -> None:
    assert sh("verify", make_template(tmp_path, ours).archive) == 0


def test_whatever_is_wrong_with_a_template_is_exit_code_6(
    sh: Shell, tmp_path: Path, publisher: Signer, stranger: Signer, key_file: Path
) -> None:
    def status(number: int, change: str, content: bytes | None) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        files = make_template(folder, publisher)
        path = folder / f"{NAME}{change}"
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        return sh("verify", files.archive, "--key", key_file)

    other = make_template(tmp_path, stranger, content="other")
    changes = [
        (".json", None),
        (".json.asc", None),
        (".json.asc", b""),
        (".json.asc", other.signature.read_bytes()),
        (".json", other.manifest.read_bytes()),
        (".json", b"{}"),
        (".tar.zst", other.archive.read_bytes()),
        (".tar.zst", b""),
    ]
    assert [status(n, *change) for n, change in enumerate(changes)] == [6] * len(changes)
    assert sh("verify", other.archive, "--key", key_file) == 6


def test_a_manifest_that_lies_about_the_content_is_exit_code_6(
    sh: Shell, tmp_path: Path, publisher: Signer, key_file: Path
) -> None:
    files = make_template(tmp_path, publisher)
    manifest = json.loads(files.manifest.read_bytes())
    write_manifest(files, json.dumps({**manifest, "digest": "0" * 64}).encode(), publisher)
    assert sh("verify", files.archive, "--key", key_file) == 6
    assert "does not hold what its manifest says" in sh.err


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("frobnicate", 2),
        ("fetch", 2),
        ("fetch no_name", 2),
        ("build no_name", 2),
        ("build debian-99-x86_64-minimal", 3),
        ("build debian-13-x86_64-minimal --sign=nobody", 3),
        ("build debian-13-x86_64-minimal --sign=x --unsigned", 2),
        ("verify none.tar.zst", 3),
        ("verify none.tar.zst --key none.asc", 2),
        ("publish repo none.tar.zst", 3),
        ("publish repo --sign=nobody", 3),
        ("remote add Main file:///x --key pub.asc", 2),
        ("remote add main ftp://x/ --key pub.asc", 2),
        ("remote add main file:///x --key empty", 1),
        ("remote remove none", 3),
        ("remove debian-13-x86_64", 3),
        ("key generate --name X --email x", 1),
        ("key import empty", 1),
        ("recipes", 0),
        ("list", 0),
        ("--version", 0),
        ("--help", 0),
    ],
)
@pytest.mark.usefixtures("ours", "key_file")
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch, sh: Shell, tmp_path: Path, command: str, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    assert sh(*command.split()) == status


def test_without_a_key_nothing_is_built_or_published(sh: Shell, tmp_path: Path) -> None:
    assert sh("build", "debian-13-x86_64-minimal", "--out", tmp_path / "out") == 3
    assert "vztmpl key generate" in sh.err
    assert sh("publish", tmp_path / "www") == 3
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "www").exists()


def test_network_lock_and_verification_have_codes_of_their_own(
    sh: Shell, tmp_path: Path, ours: Signer, stranger: Signer
) -> None:
    publish(sh, tmp_path, ours)
    (tmp_path / "other.asc").write_bytes(stranger.public_key)
    sh("remote", "add", "down", "http://127.0.0.1:1", "--key", tmp_path / "other.asc")
    sh("remote", "add", "wrong", f"file://{tmp_path}/www", "--key", tmp_path / "other.asc")
    assert sh("fetch", NAME, "--remote", "down") == 5
    assert "Connection refused" in sh.err
    assert sh("fetch", NAME, "--remote", "wrong") == 6
    with locked(tmp_path / "www/.lock"):
        assert sh("publish", tmp_path / "www") == 4


def test_every_command_teaches_by_example(sh: Shell) -> None:
    assert sh("--help") == 0
    assert "Exit codes" in sh.out
    commands = [
        "build",
        "lint",
        "diff",
        "verify",
        "publish",
        "fetch",
        "list",
        "remove",
        "doctor",
        "recipes",
        "recipe",
        "key",
        "remote",
    ]
    commands += ["key generate", "key list", "key export", "key import"]
    commands += ["recipe show", "recipe new"]
    commands += ["remote add", "remote list", "remote show", "remote remove"]
    commands += ["repo", "repo check", "repo prune", "repo push", "repo sign"]
    commands += ["available", "update", "info", "pin", "unpin", "prune", "gc", "import", "foreign"]
    for command in commands:
        assert sh(*command.split(), "--help") == 0
        assert f"Example:\n    vztmpl {command}" in sh.out, command


def test_recipes_are_listed(sh: Shell) -> None:
    assert sh("recipes", "--json") == 0
    assert {
        "name": "debian-13-x86_64-minimal",
        "os": "debian",
        "version": "13",
        "arch": "x86_64",
        "set": "minimal",
        "bootstrapper": "mmdebstrap",
        "description": "Debian GNU/Linux 13 (trixie), minimal set",
    } in json.loads(sh.out)
    assert sh("recipes") == 0
    assert "archlinux-current-x86_64-minimal" in sh.out


def test_a_recipe_is_shown_as_toml_or_json(sh: Shell) -> None:
    assert sh("recipe", "show", "debian-13-x86_64-standard") == 0
    shown = tomllib.loads(sh.out)
    assert shown["suite"] == "trixie"
    assert "openssh-server" in shown["packages"]
    assert shown["files"][0]["content"].startswith("[Unit]\n")
    assert sh("recipe", "show", "debian-13-x86_64-standard", "--json") == 0
    assert json.loads(sh.out) == shown
    assert sh("recipe", "show", "debian-14-x86_64-standard") == 3


def test_a_recipe_is_begun_and_nothing_is_overwritten(sh: Shell, tmp_path: Path) -> None:
    assert sh("recipe", "new", "web", "--recipes", tmp_path) == 0
    assert sh.out == f"{tmp_path}/web.toml\n"
    assert sh("recipe", "show", "web-13-x86_64-full", "--recipes", tmp_path) == 0
    assert {"nano", "init"} <= set(tomllib.loads(sh.out)["packages"])
    assert sh("recipe", "new", "web", "--recipes", tmp_path) == 2
    assert sh("recipe", "new", "Web 2", "--recipes", tmp_path) == 2


def test_the_doctor_finds_what_lacks(
    monkeypatch: pytest.MonkeyPatch, sh: Shell, tmp_path: Path
) -> None:
    fake_program(monkeypatch, tmp_path, "crun")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sh("doctor", "--json") == 1
    told = json.loads(sh.out)
    assert told["ok"] is False
    checks = {check["name"]: check for check in told["checks"]}
    assert checks["program crun or runc"]["ok"] is True
    assert checks["program mmdebstrap"] == {
        "name": "program mmdebstrap",
        "ok": False,
        "found": "not installed",
        "cure": "apt-get install mmdebstrap",
    }
    assert sh("doctor") == 1
    assert "program mmdebstrap: apt-get install mmdebstrap" in sh.out


def test_a_full_stdout_is_an_error(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("vztmpl")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [program, "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "VZ_SYSROOT": str(tmp_path)},
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full")


def test_listing_imports_nothing_slow() -> None:
    code = (
        "import sys; from vztmpl.cli.vztmpl import main; main(['list'])\n"
        "slow = {'requests', 'gnupg', 'zstandard', 'tqdm', 'subprocess'} & set(sys.modules)\n"
        "sys.exit(','.join(slow) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_two_sysroots_do_not_meet(
    monkeypatch: pytest.MonkeyPatch, sh: Shell, tmp_path: Path, key_file: Path
) -> None:
    assert sh("remote", "add", "main", "file:///x", "--key", key_file) == 0
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "second"))
    assert sh("remote", "list", "--json") == 0
    assert json.loads(sh.out) == []
    assert load().etc == tmp_path / "second/etc/vz"
