"""Cleaning real trees: whatever the list names is gone afterwards, and lint agrees."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes import EPOCH, names_in
from vztmpl.build.clean import clean
from vztmpl.build.leftovers import LEFTOVERS
from vztmpl.build.lint import lint
from vztmpl.template import archive
from vztmpl.template.name import TemplateName
from vztmpl.template.walk import walk

pytestmark = pytest.mark.root
_PROGRAMS = """
for name in sh rm sed; do
  program=$(command -v $name); cp -L $program "$1"/bin/
  cp -L --parents $(ldd $program | grep -o '/[^ ]*') "$1" 2>/dev/null
done
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in ("bin", "proc", "etc", "var/tmp", "var/log", "run", "root", "tmp"):
        (tree / name).mkdir(parents=True)
    subprocess.run(["sh", "-c", _PROGRAMS, "sh", tree], check=False)
    return tree


def found(tree: Path) -> set[str]:
    """Lint a tree and name the leftovers that it finds."""
    packed_file = tree.with_name("packed")
    with packed_file.open("wb") as file:
        packed = archive.pack(tree, file, EPOCH)
    name = TemplateName.parse("tiny-1-x86_64")
    report = lint(walk(packed_file, packed.unpacked_bytes), name, EPOCH)
    return {rule.name for rule in LEFTOVERS} & set(report.counts)


def example(pattern: str) -> str:
    """Name a file that a pattern means; with a star in front a hidden one."""
    if pattern.endswith("/*"):
        return pattern.replace("/*", "/.x")
    return pattern.replace("/**", "/deep/x").replace("*", "x")


def test_whatever_the_list_names_is_found_and_removed(tree: Path) -> None:
    for rule in LEFTOVERS:
        for pattern in rule.paths:
            file = tree / example(pattern).lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_text("left over")
    assert found(tree) == {rule.name for rule in LEFTOVERS}
    clean(tree, EPOCH)
    assert found(tree) == set()
    assert names_in(tree / "tmp") == names_in(tree / "run") == names_in(tree / "var/tmp") == []
    assert (tree / "var/log/deep").is_dir()
    assert (tree / "var/lib/apt/lists/partial").is_dir()


def test_what_must_be_there_says_nothing(tree: Path) -> None:
    (tree / "etc/hosts").write_text("127.0.1.1 builder\n")
    (tree / "etc/fstab").write_text("UUID=1 / ext4\n")
    (tree / "etc/shadow").write_text("root:*:20000:0:99999:7:::\n_apt:!:1:0:9:7:::\n")
    clean(tree, 86400 * 100)
    assert (tree / "etc/hosts").read_text() == (
        "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n"
    )
    assert (tree / "etc/fstab").read_text().startswith("#")
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "etc/shadow").read_text() == "root:*:100:0:99999:7:::\n_apt:!:100:0:9:7:::\n"


def test_the_distributions_own_links_stay_and_lead_nowhere_outside(
    tree: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.log").write_text("precious")
    shutil.rmtree(tree / "var/tmp")
    (tree / "var/tmp").symlink_to(outside)
    (tree / "var/log/elsewhere").symlink_to(outside)
    (tree / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    clean(tree, EPOCH)
    assert names_in(outside) == ["x.log"]
    assert (tree / "etc/resolv.conf").is_symlink()
    assert (tree / "var/log/elsewhere").is_symlink()
