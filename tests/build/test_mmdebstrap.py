from pathlib import Path

import pytest

from tests.build.debian import DATE, Archive, point_apt_there
from tests.fakes import Signer, answers, fake_program
from vztmpl.build import recipe
from vztmpl.build.mmdebstrap import Mmdebstrap, command, own_lines
from vztmpl.build.package import Resolved
from vztmpl.build.recipe import Recipe
from vztmpl.errors import NetworkError, NotFoundError, VerificationError
from vztmpl.progress import Silent

RECIPE = """\
os = "tiny"
description = "Tiny"
bootstrapper = "mmdebstrap"
sets = ["minimal"]
releases = { 1 = "sid" }
architectures = { x86_64 = "amd64" }

[[packages]]
install = ["one"]
"""


def tiny(folder: Path, *, mirror: str = "", package: str = "one") -> Recipe:
    (folder / "tiny.toml").write_text(RECIPE.replace('["one"]', f'["{package}"]'))
    return recipe.resolve(folder, "tiny-1-x86_64-minimal", mirror=mirror)


def resolve(folder: Path, *, mirror: str = "", package: str = "one") -> Resolved:
    wanted = tiny(folder, mirror=mirror, package=package)
    return Mmdebstrap(folder / "kept").resolve(wanted, Silent())


def test_the_command_line(tmp_path: Path) -> None:
    line = "deb [trusted=yes] copy:/t/archive ./"
    assert command(tiny(tmp_path), Path("/t/tree"), line) == [
        "mmdebstrap",
        "--mode=root",
        "--verbose",
        "--variant=minbase",
        "--include=apt",
        '--aptopt=APT::Sandbox::User "root"',
        "--format=directory",
        "--architectures=amd64",
        "",
        "/t/tree",
        line,
    ]


def test_every_package_is_known_before_anything_is_installed(
    mirror: Archive, tmp_path: Path
) -> None:
    mirror.add("two", "1:2~b")
    mirror.publish()
    found = resolve(tmp_path)
    base, added = found.layers
    assert sorted(package.name for package in base) == ["apt", "tiny-base"]
    assert sorted((package.name, package.version) for package in added) == [
        ("one", "1"), ("two", "1:2~b"),
    ]  # fmt: skip
    for package in found.packages:
        assert package.arch == "amd64"
        assert f"SHA256: {package.sha256}\n" in mirror.stanzas[package.name]
        assert package.url.startswith(mirror.server.url)
    assert found.epoch == DATE
    assert found.sources == (f"deb {mirror.server.url} sid main",)


def test_a_mirror_takes_the_place_of_the_hosts_sources(
    mirror: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = mirror.server.url
    mirror.server.url = "http://other.example/debian"
    point_apt_there(monkeypatch, tmp_path, mirror, mirror.signer.public_key)
    assert resolve(tmp_path, mirror=url).sources == (f"deb {url} sid main",)


def test_a_host_without_sources_has_mmdebstraps_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'for word; do case $word in --setup-hook=*) sh -c "${word#*=}" x "$0.tree"; esac; done'
    fake_program(monkeypatch, tmp_path, "mmdebstrap", f"echo I: working; {script}; exit 25")
    (tmp_path / "mmdebstrap.tree/etc/apt").mkdir(parents=True)
    (tmp_path / "mmdebstrap.tree/etc/apt/sources.list").write_text("deb http://m.example sid main")
    assert own_lines(tiny(tmp_path)) == ["deb http://m.example sid main"]


def test_nothing_is_asked_again_while_the_archive_is_the_same(
    mirror: Archive, tmp_path: Path
) -> None:
    first = resolve(tmp_path)
    mirror.server.asked.clear()
    assert resolve(tmp_path) == first
    assert set(mirror.server.asked) == {"/dists/sid/InRelease"}
    mirror.add("one", "2", depends="two")
    mirror.date += 1
    mirror.publish()
    assert {"2"} == {one.version for one in resolve(tmp_path).packages if one.name == "one"}


def test_a_package_that_is_nowhere_is_named(mirror: Archive, tmp_path: Path) -> None:
    assert mirror.stanzas
    with pytest.raises(NotFoundError, match="Unable to locate package nowhere"):
        resolve(tmp_path, package="nowhere")


def test_an_archive_signed_by_a_stranger_is_refused(
    mirror: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: Signer
) -> None:
    point_apt_there(monkeypatch, tmp_path, mirror, stranger.public_key)
    with pytest.raises(VerificationError, match="NO_PUBKEY"):
        resolve(tmp_path)


def test_an_expired_archive_is_refused(mirror: Archive, tmp_path: Path) -> None:
    mirror.valid_days = 7
    mirror.publish()
    with pytest.raises(VerificationError, match="expired"):
        resolve(tmp_path)


def test_an_altered_index_is_refused(mirror: Archive, tmp_path: Path) -> None:
    path = mirror.folder / "dists/sid/main/binary-amd64/Packages.gz"
    path.write_bytes(bytes(reversed(path.read_bytes())))
    with pytest.raises(VerificationError, match="Hash Sum mismatch"):
        resolve(tmp_path)


def test_a_mirror_that_does_not_answer_may_be_tried_again(mirror: Archive, tmp_path: Path) -> None:
    mirror.server.faults["InRelease"] = answers(503)
    with pytest.raises(NetworkError, match="503"):
        resolve(tmp_path)
    with pytest.raises(NetworkError, match="Could not connect"):
        resolve(tmp_path, mirror="http://127.0.0.1:9")
