"""What a recipe changes in a tree that has its packages: files, accounts, services, scripts."""

from pathlib import Path

from vztmpl.build.accounts import set_up
from vztmpl.build.chroot import put, run_inside, run_script
from vztmpl.build.parts import Parts, Stage
from vztmpl.build.recipe import Recipe
from vztmpl.errors import during
from vztmpl.progress import Progress

_SET_SERVICES = """
verb=$1; shift
there() {
  case $1 in *@*) set -- "${1%%@*}@.${1##*.}";; esac
  for folder in /etc /usr/local/lib /usr/lib /lib; do
    [ ! -e "$folder/systemd/system/$1" ] || return 0
  done
  return 1
}
if command -v systemctl >/dev/null; then
  for unit; do  # what is not there needs no disabling; some versions of systemctl fail at it
    shift
    if [ "$verb" != disable ] || there "$unit"; then set -- "$@" "$unit"; fi
  done
  [ $# -eq 0 ] || systemctl --quiet "$verb" "$@"
  exit
fi
for service; do
  if [ "$verb" = mask ]; then
    echo "only systemd can mask $service"; exit 1
  elif command -v rc-update >/dev/null; then
    case $verb in enable) rc-update add "$service" default;; *) rc-update del "$service";; esac
  elif command -v update-rc.d >/dev/null; then
    update-rc.d "$service" defaults
    update-rc.d "$service" "$verb"
  else
    echo "neither systemctl, rc-update nor update-rc.d is in the tree"; exit 1
  fi
done
"""


def customise(recipe: Recipe, tree: Path, epoch: int, progress: Progress) -> None:
    """Carry out all that the recipe says beyond packages."""
    run_scripts(recipe, Stage.PACKAGES, tree, epoch, progress)
    for file in recipe.parts.files:
        with during(f"writing {file.path}"):
            put(tree, file)
    set_up(tree, recipe.parts)
    _set_services(tree, recipe.parts)
    run_scripts(recipe, Stage.FINAL, tree, epoch, progress)


def run_scripts(recipe: Recipe, stage: Stage, tree: Path, epoch: int, progress: Progress) -> None:
    """Run the recipe's scripts of one stage, in the order in which they are written."""
    for number, script in enumerate(recipe.parts.scripts, start=1):
        if script.stage is stage:
            with during(f"running script {number} ({stage}) of {recipe.name}"):
                run_script(tree, script, epoch, progress)


def _set_services(tree: Path, parts: Parts) -> None:
    verbs = {"enable": parts.enable, "disable": parts.disable, "mask": parts.mask}
    for verb, services in verbs.items():
        if services:
            with during(f"setting services to {verb}"):
                run_inside(tree, ["sh", "-euc", _SET_SERVICES, "sh", verb, *services])
