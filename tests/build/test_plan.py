from pathlib import Path

import pytest

from tests.build.test_mmdebstrap import tiny
from vztmpl.build.lock import Lock
from vztmpl.build.plan import Plan, plan
from vztmpl.build.recipe import Recipe
from vztmpl.build.steps import carry_out
from vztmpl.errors import NotFoundError, VztmplError
from vztmpl.progress import Progress, Silent


class Copier:
    """A bootstrapper that takes what its archive, a folder of files, has now."""

    program = "true"

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def check(self, recipe: Recipe) -> None:
        assert recipe.parts.packages

    def install(self, *_: object) -> None:
        raise AssertionError("no script runs before the packages come")

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        assert recipe.parts.packages
        progress.note("copying")
        for path in self._archive.iterdir():
            (tree / path.name).write_text(path.read_text())

    def packages(self, tree: Path) -> dict[str, str]:
        return {path.name: path.read_text() for path in tree.iterdir()}

    def epoch(self, tree: Path) -> int:
        return max(int(version) for version in self.packages(tree).values())

    def version(self) -> str:
        return "1"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/one").write_text("5")
    (tmp_path / "archive/two").write_text("7")
    return tmp_path / "archive"


def planned(place: Path, archive: Path, lock: Lock | None = None) -> Plan:
    return plan(tiny(place), Copier(archive), lock, None, Silent())


def test_of_one_that_foresees_nothing_no_tree_is_kept(tmp_path: Path, archive: Path) -> None:
    for version in ("7", "8"):
        (archive / "two").write_text(version)
        one = planned(tmp_path, archive)
        assert one.key == ""
        carry_out(one.steps, tmp_path / "tree", None, Silent())
        made_of = one.made_of(tmp_path / "tree")
        assert [(found.name, found.version) for found in made_of.packages] == [
            ("one", "5"), ("two", version),
        ]  # fmt: skip
        assert made_of.epoch == int(version)


def test_its_lock_file_is_compared_with_what_came(tmp_path: Path, archive: Path) -> None:
    first = planned(tmp_path, archive)
    carry_out(first.steps, tmp_path / "tree", None, Silent())
    made_of = first.made_of(tmp_path / "tree")
    lock = Lock(name=str(first.recipe.name), key="", recipe="", mirror="", resolved=made_of)
    again = planned(tmp_path, archive, lock)
    assert again.made_of(tmp_path / "tree") == made_of
    (tmp_path / "tree/two").write_text("9")
    with pytest.raises(NotFoundError, match="locked is two 7, the archive has 9"):
        again.made_of(tmp_path / "tree")


def test_a_lock_file_of_another_template_is_refused(tmp_path: Path, archive: Path) -> None:
    made_of = planned(tmp_path, archive).resolved
    assert made_of is None
    with pytest.raises(VztmplError, match="the lock file is for other"):
        planned(tmp_path, archive, lock_named(tmp_path, "other-1-x86_64"))


def lock_named(place: Path, name: str) -> Lock:
    (place / "a.lock").write_text(
        f'{{"format": 1, "name": "{name}", "key": "", "recipe": "", "mirror": "", "epoch": 1,'
        ' "sources": [], "packages": []}'
    )
    return Lock.read(place / "a.lock")
