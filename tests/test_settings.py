from pathlib import Path

import pytest

from vztmpl import settings
from vztmpl.errors import ConfigError


def test_without_a_sysroot_the_paths_are_those_of_openvz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VZ_SYSROOT", raising=False)
    node = settings.load()
    assert node.etc == Path("/etc/vz")
    assert node.tag == ""


def test_a_sysroot_moves_every_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path))
    node = settings.load()
    assert node.cache == tmp_path / "vz/template/cache"
    assert node.bases == tmp_path / "vz/template/base"
    assert node.private_pattern == f"{tmp_path}/vz/private/$VEID"
    assert all(tmp_path in path.parents for path in (node.etc, node.locks, node.run, node.state))


def test_vz_conf_moves_paths_below_the_sysroot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path))
    conf = tmp_path / "etc/vz/vz.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(f'TEMPLATE="/srv/t"\nLOCKDIR="{tmp_path}/locks"\nBUILD_TMPFS="no"\n')
    node = settings.load()
    assert node.cache == tmp_path / "srv/t/cache"
    assert node.locks == tmp_path / "locks"
    assert node.setting("BUILD_TMPFS", "yes") == "no"
    assert node.setting("NONE", "default") == "default"


def test_two_sysroots_have_two_tags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tags = set()
    for name in ("a", "b", "a"):
        monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / name))
        tags.add(settings.load().tag)
    assert len(tags) == 2


def test_a_relative_sysroot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VZ_SYSROOT", "some/folder")
    with pytest.raises(ConfigError, match="absolute"):
        settings.load()


def test_recipes_come_with_the_program() -> None:
    assert (settings.shipped("recipes") / "debian.toml").is_file()
