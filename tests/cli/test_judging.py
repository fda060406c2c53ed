"""``vztmpl lint`` and ``vztmpl diff`` on the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.build.test_lint import GOOD, Entry, link, pack, with_entries
from tests.cli.test_vztmpl import Shell
from tests.fakes import EPOCH
from vztmpl.template.manifest import Manifest, TemplateFiles

NAME = "debian-12-x86_64-minimal"


@pytest.fixture
def sh(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def template(folder: Path, entries: list[Entry], **packages: str) -> Path:
    """Make an unsigned template of these members."""
    folder.mkdir()
    files = TemplateFiles.of(folder, NAME)
    size_bytes = pack(entries, files.archive)
    manifest = Manifest(
        name=NAME,
        serial="20260101T0000Z",
        digest="0" * 64,
        sha256="0" * 64,
        size_bytes=files.archive.stat().st_size,
        unpacked_bytes=size_bytes,
        epoch=EPOCH,
        packages=packages,
    )
    files.manifest.write_bytes(manifest.to_json())
    return files.archive


def test_a_good_template_passes(sh: Shell, tmp_path: Path) -> None:
    assert sh("lint", template(tmp_path / "t", list(GOOD))) == 0
    assert sh.out == f"{NAME}: 0 errors, 0 warnings\n"


def test_errors_give_one_and_say_why_and_how_to_cure_it(sh: Shell, tmp_path: Path) -> None:
    bad = with_entries(Entry("./etc/x\n", mode=0o666), Entry("./etc/passwd-"))
    archive = template(tmp_path / "t", bad)
    assert sh("lint", archive) == 1
    assert "error: world-writable: every user of a VE can change it" in sh.out
    assert "    /etc/x? (mode 0666, owner 0:0)\n    cure: chmod o-w" in sh.out
    assert sh.out.endswith("1 error, 1 warning\n")
    assert sh("lint", archive, "--json") == 1
    told = json.loads(sh.out)
    assert (told["errors"], told["warnings"], told["found"]) == (
        1, 1, {"backup": 1, "world-writable": 1},
    )  # fmt: skip
    assert {finding["path"] for finding in told["findings"]} == {"/etc/x\n", "/etc/passwd-"}


def test_warnings_alone_are_allowed(sh: Shell, tmp_path: Path) -> None:
    assert sh("lint", template(tmp_path / "t", with_entries(Entry("./etc/passwd-")))) == 0


def test_what_the_manifest_waives_is_shown_and_allowed(sh: Shell, tmp_path: Path) -> None:
    archive = template(tmp_path / "t", with_entries(Entry("./etc/x", mode=0o666)))
    files = TemplateFiles.beside(archive)
    waived = {"waived": [{"rule": "world-writable", "reason": "a\x1b[2Jtest", "paths": ["/etc/x"]}]}
    manifest = replace(Manifest.read(files.manifest), lint=waived)
    files.manifest.write_bytes(manifest.to_json())
    assert sh("lint", archive) == 0
    assert "waived: world-writable (1): a?[2Jtest\n" in sh.out
    manifest = replace(manifest, lint={"waived": [{"rule": 1}]})
    files.manifest.write_bytes(manifest.to_json())
    assert sh("lint", archive) == 6
    assert "lint.waived[1].rule: must be a string" in sh.err


def test_the_rules_are_listed(sh: Shell) -> None:
    assert sh("lint", "--list") == 0
    assert "set-id (error)\n  why:  a program that runs as" in sh.out
    assert sh("lint", "--list", "--json") == 0
    assert {"name", "severity", "reason", "cure", "paths"} == set(json.loads(sh.out)[0])


def test_lint_wants_a_template(sh: Shell, tmp_path: Path) -> None:
    assert sh("lint") == 2
    assert sh("lint", tmp_path / "none.tar.zst") == 3
    archive = template(tmp_path / "t", list(GOOD))
    archive.write_bytes(archive.read_bytes()[:-20])
    assert sh("lint", archive) == 6
    assert "Traceback" not in sh.err


def test_a_difference_gives_one_and_can_be_read(sh: Shell, tmp_path: Path) -> None:
    new = [
        Entry("./etc/hosts", "127.0.0.1 localhost\n"), Entry("./root", mode=0o755, kind=b"5"),
        link("./etc/os-release", "elsewhere"),
    ]  # fmt: skip
    entries = sorted(with_entries(), key=lambda entry: entry.path.split("/"))
    changed = sorted(with_entries(*new), key=lambda entry: entry.path.split("/"))
    gone = [entry for entry in changed if not entry.path.startswith("./var/lib")]
    old = template(tmp_path / "1", entries, dash="1", less="2")
    assert sh("diff", old, template(tmp_path / "2", gone, dash="2", nano="1")) == 1
    assert (
        "packages: 1 added, 1 removed, 1 changed\n  ~ dash 1 → 2\n  - less 2\n  + nano 1" in sh.out
    )
    assert "files: 0 added, 3 removed, 3 changed\n" in sh.out
    assert "  ~ /etc/hosts: content 48 → 20 bytes\n" in sh.out
    assert "  ~ /etc/os-release: to elsewhere, was ../usr/lib/os-release\n" in sh.out
    assert "  ~ /root: mode 0700 → 0755\n" in sh.out
    assert "  - /var/lib and 2 below\n" in sh.out
    assert sh("diff", old, old) == 0
    assert sh.out.endswith("no difference\n")
    assert sh("diff", old, tmp_path / "2" / f"{NAME}.tar.zst", "--json") == 1
    told = json.loads(sh.out)
    assert told["counts"] == {"added": 0, "removed": 3, "changed": 3, "only_time": 0}
    assert told["packages"][0] == {"name": "dash", "change": "changed", "old": "1", "new": "2"}
    assert sh("diff", old, tmp_path / "none.tar.zst") == 3
