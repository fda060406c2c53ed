"""All forms in one pass, and what happens when a compressor does not go along."""

import gzip
import hashlib
import lzma
from pathlib import Path

import pytest

from tests.fakes import EPOCH, NAME, OLD, fake_program, names_in
from vztmpl.errors import CommandError, VerificationError
from vztmpl.progress import Silent
from vztmpl.repo.formats.forms import Form, make
from vztmpl.template import archive
from vztmpl.template.manifest import Manifest


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A template larger than all buffers on the way, but quickly compressed."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "tree").mkdir()
    (folder / "tree/zeros").write_bytes(bytes(96 << 20))
    with (folder / "large.tar.zst").open("wb") as file:
        packed = archive.pack(folder / "tree", file, EPOCH)
    manifest = Manifest(
        name=NAME,
        serial=OLD,
        digest=packed.digest,
        sha256=packed.sha256,
        size_bytes=packed.size_bytes,
        unpacked_bytes=packed.unpacked_bytes,
        epoch=EPOCH,
    )
    return folder / "large.tar.zst", manifest


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_every_form_holds_the_same_tar(large: tuple[Path, Manifest], out: Path) -> None:
    source, manifest = large
    make(source, manifest, out, tuple(Form), Silent())
    assert names_in(out) == sorted(Form)
    for form, opened in ((Form.GZIP, gzip.open), (Form.XZ, lzma.open)):
        with opened(out / form) as tar:
            assert hashlib.file_digest(tar, "sha256").hexdigest() == manifest.digest


def test_forms_carry_no_time(large: tuple[Path, Manifest], out: Path) -> None:
    source, manifest = large
    made = []
    for name in ("first", "second"):
        (out / name).mkdir()
        make(source, manifest, out / name, (Form.GZIP, Form.SQUASHFS), Silent())
        made.append([(out / name / form).read_bytes() for form in (Form.GZIP, Form.SQUASHFS)])
    assert made[0] == made[1]
    assert made[0][0][4:8] == bytes(4)  # RFC 1952: MTIME


@pytest.mark.parametrize(
    "body", ["exit 1", "head --bytes=100 >/dev/null; exit 0", "exec sleep 0.2", "kill -9 $$"]
)
def test_a_compressor_that_ends_too_early_fails_the_whole_and_nobody_waits_for_it(
    large: tuple[Path, Manifest],
    out: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
) -> None:
    fake_program(monkeypatch, tmp_path, "gzip", body)
    with pytest.raises(CommandError, match="gzip"):
        make(*large, out, (Form.SQUASHFS, Form.GZIP), Silent())
    assert names_in(out) == []


def test_a_compressor_that_is_not_there_is_named(
    large: tuple[Path, Manifest], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CommandError) as caught:
        make(*large, out, (Form.XZ,), Silent())
    assert caught.value.tail == "xz is not installed"
    assert names_in(out) == []


def test_another_tar_than_that_of_the_manifest_makes_no_form(
    large: tuple[Path, Manifest], out: Path
) -> None:
    source, manifest = large
    other = Manifest.parse(manifest.to_json().replace(manifest.digest.encode(), b"0" * 64), "x")
    with pytest.raises(VerificationError, match="does not hold what its manifest says"):
        make(source, other, out, (Form.GZIP, Form.SQUASHFS), Silent())
    assert names_in(out) == []


class Interrupted(Silent):
    def advance(self, count: int) -> None:  # noqa: ARG002
        raise KeyboardInterrupt


def test_an_interrupt_ends_it_at_once(large: tuple[Path, Manifest], out: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(*large, out, tuple(Form), Interrupted())
    assert names_in(out) == []
