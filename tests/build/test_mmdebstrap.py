from pathlib import Path

import pytest

from tests.build.test_recipe import GOOD, PIECE
from tests.build.test_sources import TARGETS, fake_apt
from tests.fakes import fake_program
from vztmpl.build import recipe
from vztmpl.build.mmdebstrap import Mmdebstrap, command
from vztmpl.build.recipe import Recipe
from vztmpl.build.sources import Sources
from vztmpl.errors import CommandError, VztmplError
from vztmpl.progress import Silent


def tiny(folder: Path, mirror: str = "") -> Recipe:
    (folder / "common").mkdir(exist_ok=True)
    (folder / "tiny.toml").write_text(GOOD)
    (folder / "common/piece.toml").write_text(PIECE)
    return recipe.resolve(folder, "tiny-2-aarch64-standard", mirror=mirror)


def test_the_command_line(tmp_path: Path) -> None:
    sources = Sources(main="http://deb.example/debian", options=(("Acquire::Check-Date", "false"),))
    lines = sources.lines("two")
    assert command(tiny(tmp_path), Path("/t/tree"), lines, sources.options) == [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        "--architectures=arm64",
        "--include=first,init,less",
        "--skip=cleanup/apt/lists",
        '--aptopt=Acquire::Check-Date "false"',
        "two",
        "/t/tree",
        "deb http://deb.example/debian two main",
        "deb http://deb.example/debian two-updates main",
    ]


@pytest.mark.root
@pytest.mark.parametrize("mirror", ["", "http://mirror.example/debian"])
def test_a_mirror_takes_the_place_of_the_hosts_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mirror: str
) -> None:
    fake_apt(monkeypatch, tmp_path, TARGETS, "O2='http://proxy.example:3142'\n")
    program = fake_program(monkeypatch, tmp_path, "mmdebstrap")
    Mmdebstrap().bootstrap(tiny(tmp_path, mirror), tmp_path / "tree", Silent())
    (call,) = program.calls
    lines = call[call.index(str(tmp_path / "tree")) + 1 :]
    assert [line.split()[1] for line in lines] == (
        [mirror] * 2 if mirror
        else ["http://deb.example/debian"] * 2 + ["https://sec.example/debian-security"]
    )  # fmt: skip
    assert '--aptopt=Acquire::http::Proxy "http://proxy.example:3142"' in call


@pytest.mark.root
def test_its_last_words_are_in_the_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_apt(monkeypatch, tmp_path, "")
    fake_program(monkeypatch, tmp_path, "mmdebstrap", "echo E: no such suite >&2; exit 25")
    with pytest.raises(CommandError) as caught:
        Mmdebstrap().bootstrap(tiny(tmp_path), tmp_path / "tree", Silent())
    assert caught.value.status == 25
    assert "E: no such suite" in caught.value.tail
    assert caught.value.__notes__ == ["while bootstrapping tiny-2-aarch64-standard"]


def test_the_epoch_is_the_date_of_the_newest_release_file(tmp_path: Path) -> None:
    lists = tmp_path / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    with pytest.raises(VztmplError, match="no Release file"):
        Mmdebstrap().epoch(tmp_path)
    (lists / "a_InRelease").write_text("Suite: x\nDate: Sat, 10 Jan 2026 10:00:00 UTC\n")
    (lists / "b_Release").write_text("Date: Sun, 11 Jan 2026 10:00:00 UTC\n")
    assert Mmdebstrap().epoch(tmp_path) == 1768125600
