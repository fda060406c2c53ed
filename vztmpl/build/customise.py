"""What a recipe changes in a bootstrapped tree: files, scripts, units of systemd."""

from pathlib import Path

from vztmpl.build.chroot import run_inside, run_script
from vztmpl.build.recipe import Recipe, Stage, TreeFile
from vztmpl.errors import during
from vztmpl.progress import Progress

_PUT = 'mkdir -p "${1%/*}"; rm -f "$1"; cat >"$1"; chmod "$2" "$1"'


def customise(recipe: Recipe, tree: Path, epoch: int, progress: Progress) -> None:
    """Carry out all that the recipe says beyond packages."""
    _run_scripts(recipe, Stage.PACKAGES, tree, epoch, progress)
    for file in recipe.parts.files:
        _put(tree, file)
    for verb in ("enable", "disable", "mask"):
        if units := getattr(recipe.parts, verb):
            with during(f"setting services to {verb}"):
                run_inside(tree, ["systemctl", "--quiet", verb, *units])
    _run_scripts(recipe, Stage.FINAL, tree, epoch, progress)


def _put(tree: Path, file: TreeFile) -> None:
    """Write a file from inside the tree, so that no link in it leads out."""
    with during(f"writing {file.path}"):
        run_inside(
            tree, ["sh", "-euc", _PUT, "sh", file.path, f"{file.mode:o}"], stdin=file.content
        )


def _run_scripts(recipe: Recipe, stage: Stage, tree: Path, epoch: int, progress: Progress) -> None:
    for number, script in enumerate(recipe.parts.scripts, start=1):
        if script.stage is stage:
            with during(f"running script {number} ({stage}) of {recipe.name}"):
                run_script(tree, script.text, epoch, progress)
