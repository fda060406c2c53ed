"""The recipe of the manual, built from the real mirror."""

import json
import re
from pathlib import Path

import pytest

from tests.integration.conftest import CHECKOUT, KEPT, call
from vztmpl.template import archive

pytestmark = [pytest.mark.root, pytest.mark.network]


def test_the_example_of_the_manual_builds(tmp_path: Path) -> None:
    manual = (CHECKOUT / "docs/recipes.md").read_text()
    example = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)[0]
    (tmp_path / "web.toml").write_text(example)
    words = ("--recipes", tmp_path, "--out", tmp_path / "out", "--unsigned", "--json")
    built = call("vztmpl", "build", "web-12-x86_64-full", *words, env={"VZ_SYSROOT": str(KEPT)})
    assert built.returncode == 0, built.stderr
    told = json.loads(built.stdout)
    tree = tmp_path / "tree"
    tree.mkdir()
    archive.unpack(Path(told["path"]), tree, told["digest"], told["unpacked_bytes"])
    packages = json.loads(Path(told["manifest"]).read_text())["packages"]
    assert "nginx-light:amd64" in packages or "nginx-light:all" in packages
    assert not [name for name in packages if name.startswith("netbase:")]
    assert (tree / "etc/motd").read_text() == "made by me: web 12\n"
    assert "web:x:1001:" in (tree / "etc/passwd").read_text()
    assert (tree / "etc/sudoers.d/web").exists()
    assert (tree / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Etc/UTC")
    wants = tree / "etc/systemd/system/multi-user.target.wants/nginx.service"
    assert wants.is_symlink()
    assert "UTC" in (tree / "etc/made").read_text()
