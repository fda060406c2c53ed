import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import names_in
from vztmpl.build.steps import Step, Trees, carry_out, keys
from vztmpl.progress import Silent
from vztmpl.template import archive

Work = Callable[[Path], None]


def writes(name: str, content: str = "x") -> Work:
    def work(tree: Path) -> None:
        (tree / name).write_text(content)

    return work


def step(name: str, inputs: object = 1, work: Work | None = None) -> Step:
    return Step(title=name, inputs=inputs, work=work or writes(name))


def refuses(_: Path) -> None:
    raise AssertionError("this step was not to be done")


def kept_in(place: Path, limit_bytes: int = 1 << 20, worth_seconds: float = 0) -> Trees:
    return Trees(
        folder=place / "steps",
        locks=place / "locks",
        limit_bytes=limit_bytes,
        worth_seconds=worth_seconds,
    )


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return kept_in(tmp_path)


pytestmark = pytest.mark.root


def test_the_key_holds_inputs_and_all_that_went_before() -> None:
    def chain(*inputs: object) -> list[str]:
        return keys([step("a", inputs[0]), step("b", inputs[1])])

    one = chain([1, {"x": 2, "y": 3}], 2)
    assert chain([1, {"y": 3, "x": 2}], 2) == one
    assert chain([1, {"x": 2, "y": 4}], 2)[1] != one[1]
    other = chain([1, {"x": 2, "y": 3}], 3)
    assert other[0] == one[0]
    assert other[1] != one[1]


def test_work_begins_after_the_latest_step_that_is_kept(tmp_path: Path, trees: Trees) -> None:
    carry_out([step("a"), step("b")], tmp_path / "1", trees, Silent())
    carry_out([step("a", work=refuses), step("b", 2), step("c")], tmp_path / "2", trees, Silent())
    assert names_in(tmp_path / "2") == ["a", "b", "c"]
    again = [step("a", work=refuses), step("b", 2, refuses), step("c", work=refuses)]
    carry_out(again, tmp_path / "3", trees, Silent())
    assert names_in(tmp_path / "3") == ["a", "b", "c"]


def test_a_kept_tree_is_as_it_was(tmp_path: Path, trees: Trees) -> None:
    def work(tree: Path) -> None:
        (tree / "old").write_text("x")
        (tree / "hard").hardlink_to(tree / "old")
        os.utime(tree / "old", ns=(5, 1_500_000_000_123_456_789))
        (tree / "link").symlink_to("../nowhere")
        (tree / "dev").mkdir(mode=0o1777)
        os.mknod(tree / "dev/null", 0o20666, os.makedev(1, 3))
        os.setxattr(tree / "old", "user.x", b"y")
        os.chown(tree / "old", 5, 6)

    def seen(tree: Path) -> list[object]:
        return [
            (str(path.relative_to(tree)), (s := path.lstat()).st_mode, s.st_mtime_ns, s.st_uid,
             s.st_rdev, s.st_nlink, os.listxattr(path, follow_symlinks=False))
            for path in [tree, *sorted(tree.rglob("*"))]
        ]  # fmt: skip

    carry_out([step("a", work=work)], tmp_path / "1", trees, Silent())
    carry_out([step("a", work=refuses)], tmp_path / "2", trees, Silent())
    assert seen(tmp_path / "1") == seen(tmp_path / "2")
    assert {path.lstat().st_mtime_ns for path in (tmp_path / "1").rglob("*")} == {
        1_500_000_000_123_456_789
    }


@pytest.mark.parametrize("damage", ["cut", "alter", "gone", "notes"])
def test_a_damaged_tree_is_made_again(tmp_path: Path, trees: Trees, damage: str) -> None:
    carry_out([step("a", work=writes("a", "y" * 50000))], tmp_path / "1", trees, Silent())
    (tar,) = trees.folder.glob("*.tar")
    (notes,) = trees.folder.glob("*.sha256")
    whole = tar.read_bytes()
    match damage:
        case "cut":
            tar.write_bytes(whole[: len(whole) // 2])
        case "alter":
            tar.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
        case "gone":
            tar.unlink()
        case "notes":
            notes.write_text("")
    carry_out([step("a", work=writes("b"))], tmp_path / "2", trees, Silent())
    assert names_in(tmp_path / "2") == ["b"]
    carry_out([step("a", work=refuses)], tmp_path / "3", trees, Silent())
    assert names_in(tmp_path / "3") == ["b"]


def test_a_step_that_fails_keeps_nothing(tmp_path: Path, trees: Trees) -> None:
    with pytest.raises(AssertionError):
        carry_out([step("a"), step("b", work=refuses)], tmp_path / "1", trees, Silent())
    carry_out([step("a", work=refuses), step("b")], tmp_path / "2", trees, Silent())
    assert names_in(tmp_path / "2") == ["a", "b"]


def test_quick_steps_are_done_again(tmp_path: Path) -> None:
    trees = kept_in(tmp_path, worth_seconds=1)
    carry_out([step("a")], tmp_path / "1", trees, Silent())
    assert not trees.folder.exists()


def keep(trees: Trees, name: str, place: Path) -> None:
    archive.snapshot(place / name, place / f"{name}.tar")
    trees.keep(name * 64, place / f"{name}.tar")


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    trees = kept_in(tmp_path, limit_bytes=50_000)
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(os.urandom(12_000))
        keep(trees, name, tmp_path)
        os.utime(trees.folder / f"{name * 64}.sha256", (number, number))
    (tmp_path / "out").mkdir()
    assert trees.restore("a" * 64, tmp_path / "out", Silent())
    (tmp_path / "a").rename(tmp_path / "c")
    keep(trees, "c", tmp_path)
    assert [trees.has(name * 64) for name in "abc"] == [True, False, True]
    assert len(list(trees.folder.iterdir())) == 4


def test_a_disk_without_room_does_not_stop_a_build(tmp_path: Path) -> None:
    (tmp_path / "steps").write_text("a file where the folder should be")
    trees = kept_in(tmp_path)
    carry_out([step("a")], tmp_path / "1", trees, Silent())
    assert names_in(tmp_path / "1") == ["a"]


def test_without_kept_trees_all_is_done(tmp_path: Path) -> None:
    carry_out([step("a"), step("b")], tmp_path / "1", None, Silent())
    assert names_in(tmp_path / "1") == ["a", "b"]


def test_a_tree_that_finds_no_room_stays_kept(tmp_path: Path, trees: Trees) -> None:
    carry_out([step("a", work=writes("a", "y" * 200_000))], tmp_path / "1", trees, Silent())
    (tmp_path / "small").mkdir()
    mount = 'mount -t tmpfs -o size=64k none "$1"; shift; exec "$@"'
    python = (
        "from pathlib import Path; from tests.build.test_steps import *;"
        f"carry_out([step('a', work=refuses)], Path('{tmp_path}/small/2'),"
        f" kept_in(Path('{tmp_path}')), Silent())"
    )
    words = ["unshare", "--mount", "--", "sh", "-euc", mount, "sh", f"{tmp_path}/small"]
    done = subprocess.run(
        [*words, sys.executable, "-c", python], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1].startswith("vztmpl.errors.CommandError: tar --extract")
    carry_out([step("a", work=refuses)], tmp_path / "3", trees, Silent())
