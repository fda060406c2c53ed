"""The database of rpm is handed over to the rpm inside the tree: the real one, both times."""

import shutil
from pathlib import Path

import pytest

from tests.build.bench import KINDS, Bench, Publisher
from tests.build.debian_archive import add_programs
from tests.build.repositories import BUILT
from vztmpl.build import rpmdb
from vztmpl.build.dnf import Dnf
from vztmpl.progress import Silent

pytestmark = pytest.mark.root

CONFIGURED = "%_dbpath /var/lib/rpm\n"  # as Enterprise Linux 9 has it


def test_the_trees_own_rpm_writes_it_where_it_looks_for_it(
    tmp_path: Path, published: Publisher
) -> None:
    tree = tmp_path / "work/tree"
    tree.mkdir(parents=True)
    bench = Bench("dnf", KINDS["dnf"], published, tmp_path)
    bench.fill(bench.recipe())
    assert (tree / rpmdb.PLACE / "rpmdb.sqlite").exists()
    add_programs(tree, ["rpm", "rpmdb"])
    (tree / "usr/lib/rpm").mkdir()
    for name in ("macros", "rpmrc"):
        shutil.copy(f"/usr/lib/rpm/{name}", tree / "usr/lib/rpm")
    (tree / "etc/rpm").mkdir()
    (tree / "etc/rpm/macros").write_text(CONFIGURED)
    rpmdb.hand_over(tree, tmp_path)
    assert not (tree / rpmdb.PLACE).exists()
    assert (tree / "var/lib/rpm/rpmdb.sqlite").exists()
    assert Dnf().packages(tree)["hello.x86_64"] == "1.5-1"
    assert Dnf().epoch(tree) == BUILT
    changed = bench.recipe('[[packages]]\ninstall = ["unwanted"]\nremove = ["hello"]\n')
    Dnf().install(changed, tree, Silent())
    assert not (tree / rpmdb.PLACE).exists()
    assert {*Dnf().packages(tree)} == {"base.x86_64", "unwanted.x86_64"}
