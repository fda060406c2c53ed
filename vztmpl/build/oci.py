"""Importing a container image, pinned by the digest of its manifest.

skopeo fetches it from a registry or a layout and checks every blob's digest; umoci lays its layers
over each other, whiteouts included.
"""

from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from vztmpl.build.meaning import explained
from vztmpl.build.programs import require_programs
from vztmpl.build.recipe import Recipe
from vztmpl.build.rootfs import Rootfs, the_source
from vztmpl.errors import ConfigError, VerificationError, during
from vztmpl.progress import Progress
from vztmpl.run import confined, piped, run

_MAX_MANIFEST_BYTES = 4 << 20
_GO_ARCHITECTURES = {
    "x86_64": "amd64", "x86": "386", "aarch64": "arm64", "armv7": "arm", "riscv64": "riscv64",
    "ppc64le": "ppc64le", "s390x": "s390x",
}  # fmt: skip


class Oci(Rootfs):
    """Fills a tree from an image; packages come by the package manager that is in it."""

    program = "skopeo"

    def check(self, recipe: Recipe) -> None:
        """Refuse, before anything is touched, what can't be done."""
        super().check(recipe)
        require_programs("skopeo", "umoci")
        source = the_source(recipe)
        if not source.sha256 or not source.url.startswith(("docker://", "oci:")):
            problem = "must be docker://… or oci:path:tag, with the manifest's digest as `sha256`"
            raise ConfigError(recipe.name, "source", problem)

    def bootstrap(self, recipe: Recipe, tree: Path, progress: Progress) -> None:
        """Unpack the image into the empty folder ``tree``, and install the recipe's packages."""
        with (
            TemporaryDirectory(prefix="oci-", dir=tree.parent) as folder,
            during(f"bootstrapping {recipe.name}"),
            explained(),
        ):
            source, layout = the_source(recipe), f"{folder}/layout"
            image = pinned(source.url, source.sha256)
            with piped(["skopeo", "inspect", "--raw", image]) as manifest:
                found = sha256(manifest.read(_MAX_MANIFEST_BYTES)).hexdigest()
            if found != source.sha256:
                raise VerificationError(
                    f"{source.url}: its digest is {found}, not the {source.sha256} of the recipe",
                    hint="the image was altered, or its publisher replaced it: pin the new one",
                )
            arch = _GO_ARCHITECTURES[recipe.name.arch]
            run(confined(copy_command(image, layout, arch)), on_line=progress.note)
            rootfs = Path(folder, "rootfs")
            unpack = ["umoci", "raw", "unpack", f"--image={layout}:image", str(rootfs)]
            run(confined(unpack, network=False), on_line=progress.note)
            tree.rmdir()
            rootfs.rename(tree)
        self.install(recipe, tree, progress)

    def version(self) -> str:
        """Return the program's version."""
        return run([self.program, "--version"]).split()[-1]


def pinned(url: str, digest: str) -> str:
    """Return what skopeo has to be asked for: an image of a registry goes by its digest."""
    if not url.startswith("docker://"):
        return url
    name, _, _tag = url.rpartition(":") if ":" in url.rpartition("/")[2] else (url, "", "")
    return f"{name.partition('@')[0]}@sha256:{digest}"


def copy_command(image: str, layout: str, arch: str) -> list[str]:
    """Return the argv of skopeo; the digest vouches for the image, so no host policy is asked."""
    return [
        "skopeo", "copy", "--insecure-policy", "--quiet",
        f"--override-arch={arch}", "--override-os=linux", image, f"oci:{layout}:image",
    ]  # fmt: skip
