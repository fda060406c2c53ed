"""``vztmpl publish``: for whom, and what is pushed where."""

import json
from pathlib import Path

import pytest

from tests.fakes import NAME, NEW, OLD, FakeProgram, Signer, fake_program, make_template, names_in
from vztmpl.cli.vztmpl import main

REGISTRY = "docker://registry.example/os"


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    """The key of this machine's own keyring."""
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    return Signer.new(tmp_path / "node/var/lib/vztmpl/keys", "This Machine")


@pytest.fixture
def skopeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProgram:
    return fake_program(monkeypatch, tmp_path, "skopeo")


def publish(*words: object) -> int:
    return main(["publish", *map(str, words)])


def test_for_whom_is_kept_in_the_repository(tmp_path: Path, ours: Signer) -> None:
    www, archive = tmp_path / "www", make_template(tmp_path, ours).archive
    assert publish(www, archive, "--formats", "systemd,lxc") == 0
    assert (www / "repository.toml").read_text() == '[publish]\nformats = ["lxc", "systemd"]\n'
    (www / "repository.toml").write_text('[publish]\n# by hand\nformats = ["lxc"]\n')
    assert publish(www) == 0
    assert "by hand" in (www / "repository.toml").read_text()
    assert (www / "meta").is_dir()
    (www / "repository.toml").write_text('keep = 2 # mine\n\n[publish]\nformats = ["lxc"]\n')
    assert publish(www, "--formats", "") == 0
    assert (www / "repository.toml").read_text() == "keep = 2 # mine\n\n"


def test_a_word_that_is_no_format_is_wrong_usage(
    tmp_path: Path, ours: Signer, capsys: pytest.CaptureFixture[str]
) -> None:
    www, archive = tmp_path / "www", make_template(tmp_path, ours).archive
    assert publish(www, archive, "--formats", "lxc,lcx") == 2
    assert "'lcx' is not a format" in capsys.readouterr().err
    assert not www.exists()


def test_what_is_published_is_pushed_with_what_refers_to_it(
    tmp_path: Path, ours: Signer, skopeo: FakeProgram
) -> None:
    www = tmp_path / "www"
    for serial in (OLD, NEW):
        archive = make_template(tmp_path, ours, serial=serial, content=serial).archive
        assert publish(www, archive, "--formats", "oci", "--push", REGISTRY, "--json") == 0
    layout = f"oci:{www}/oci/{NAME}:"
    copies = [call[-2:] for call in skopeo.calls]
    tags = [target.rpartition(":")[2] for _, target in copies]
    assert copies == [[layout + tag, f"{REGISTRY}/{NAME}:{tag}"] for tag in tags]
    assert [tag for tag in tags if not tag.startswith("sha256-")] == [OLD, "latest", NEW, "latest"]
    assert len(tags) == 6


def test_without_files_all_that_is_published_is_pushed(
    tmp_path: Path, ours: Signer, skopeo: FakeProgram
) -> None:
    www = tmp_path / "www"
    for serial in (OLD, NEW):
        archive = make_template(tmp_path, ours, serial=serial, content=serial).archive
        assert publish(www, archive, "--formats", "oci") == 0
    assert skopeo.calls == []
    assert publish(www, "--push", REGISTRY) == 0
    tags = [call[-1].rpartition(":")[2] for call in skopeo.calls]
    assert [tag for tag in tags if not tag.startswith("sha256-")] == [OLD, NEW, "latest"]


def test_the_login_of_the_one_who_publishes_is_used(
    tmp_path: Path, ours: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_program(monkeypatch, tmp_path, "skopeo", f"echo $XDG_RUNTIME_DIR >>{tmp_path}/login")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    www, archive = tmp_path / "www", make_template(tmp_path, ours).archive
    assert publish(www, archive, "--formats", "oci", "--push", REGISTRY) == 0
    assert set((tmp_path / "login").read_text().split()) == {"/run/user/7"}


def test_a_registry_that_refuses_fails_the_push_but_not_what_is_published(
    tmp_path: Path,
    ours: Signer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_program(monkeypatch, tmp_path, "skopeo", "echo unauthorized >&2; exit 1")
    www, archive = tmp_path / "www", make_template(tmp_path, ours).archive
    assert publish(www, archive, "--formats", "oci", "--push", REGISTRY) == 1
    said = capsys.readouterr().err
    assert "unauthorized" in said
    assert f"while pushing {NAME} to {REGISTRY}" in said
    assert json.loads((www / "index.json").read_text())["templates"][0]["name"] == NAME
    assert names_in(www / "oci") == [NAME]


@pytest.mark.usefixtures("ours")
def test_pushing_needs_the_oci_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(tmp_path / "www", "--push", REGISTRY) == 2
    assert 'add "oci" to formats' in capsys.readouterr().err
