from pathlib import Path

import pytest

from vztmpl.build.foreign import require_runnable
from vztmpl.errors import VztmplError
from vztmpl.template.name import TemplateName

ARM = TemplateName.parse("debian-13-aarch64-minimal")


def registered(folder: Path, text: str) -> Path:
    (folder / "qemu-aarch64").write_text(text)
    return folder


def test_its_own_architecture_runs_everywhere(tmp_path: Path) -> None:
    require_runnable(ARM, machine="aarch64", binfmt=tmp_path)
    require_runnable(TemplateName.parse("debian-12-x86"), machine="x86_64", binfmt=tmp_path)


def test_another_one_needs_an_emulator_and_is_told_which(tmp_path: Path) -> None:
    with pytest.raises(VztmplError, match="can't run programs for aarch64") as caught:
        require_runnable(ARM, machine="x86_64", binfmt=tmp_path)
    assert "apt-get install qemu-user-static binfmt-support" in caught.value.hint
    assert "update-binfmts --enable qemu-aarch64" in caught.value.hint


def test_an_emulator_that_is_switched_off_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(VztmplError, match="can't run"):
        require_runnable(ARM, machine="x86_64", binfmt=registered(tmp_path, "disabled\nflags: F\n"))


def test_an_emulator_must_be_found_from_inside_a_tree(tmp_path: Path) -> None:
    with pytest.raises(VztmplError, match="would not be found inside a tree"):
        require_runnable(ARM, machine="x86_64", binfmt=registered(tmp_path, "enabled\nflags: OC\n"))
    require_runnable(ARM, machine="x86_64", binfmt=registered(tmp_path, "enabled\nflags: OCF\n"))
