"""Bootstrapping Alpine Linux: its minirootfs, and the apk inside it for the rest.

apk on the host is not needed, and hardly any distribution but Alpine has it.
"""

from pathlib import Path, PurePath

from vztmpl.build.chroot import put
from vztmpl.build.parts import TreeFile
from vztmpl.build.recipe import Recipe
from vztmpl.build.rootfs import Rootfs, unpack
from vztmpl.progress import Progress


class Apk(Rootfs):
    """Fills a tree from Alpine's minirootfs and repositories of apk packages."""

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Unpack the minirootfs into the empty folder ``tree``, and install the packages."""
        unpack(recipe, tree, progress)
        if recipe.parts.repositories:
            _set_repositories(recipe, tree)
        self.install(recipe, tree, progress)


def _set_repositories(recipe: Recipe, tree: Path) -> None:
    """Name the repositories; the minirootfs brings Alpine's own keys, others are added."""
    urls = "".join(f"{one.url}\n" for one in recipe.parts.repositories)
    put(tree, TreeFile(path="/etc/apk/repositories", content=urls, mode=0o644))
    for one in recipe.parts.repositories:
        if one.key:
            path = f"/etc/apk/keys/{PurePath(one.key.path).name}"
            put(tree, TreeFile(path=path, content=one.key.content, mode=0o644))
