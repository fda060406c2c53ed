"""Pushing images to an OCI registry with skopeo, which knows the registries' ways to log in.

The login is skopeo's own (``skopeo login``, auth.json). Bytes are pushed as they are, so digests
in the registry are those of the published layout.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from vztmpl.errors import VztmplError, during
from vztmpl.progress import Progress
from vztmpl.repo.formats.oci import FOLDER, LATEST, referrers_tag
from vztmpl.run import run

_REF = "org.opencontainers.image.ref.name"


def push(
    repository: Path,
    builds: Sequence[tuple[str, str]],
    registry: str,
    progress: Progress,
) -> None:
    """Push builds, given by name and serial, to ``docker://HOST/PATH`` as ``PATH/NAME:SERIAL``.

    What refers to them goes along. No builds means all that are published.
    """
    if not shutil.which("skopeo"):
        hint = "apt-get install skopeo; then `vztmpl publish REPO` pushes what is published"
        raise VztmplError("skopeo is not installed", hint=hint)
    for name, serial in builds or _all(repository):
        layout = repository / FOLDER / name
        tags = _tags(layout)
        image = tags[serial]
        progress.phase(f"pushing {name} {serial}")
        with during(f"pushing {name} to {registry}"):
            source, target = f"oci:{layout}", f"{registry}/{name}"
            _copy(source, target, serial, "--preserve-digests")
            if (referrers := referrers_tag(image)) in tags:  # skopeo can't preserve lists
                _copy(source, target, referrers, "--all")
            if tags[LATEST] == image:
                _copy(source, target, LATEST, "--preserve-digests")


def _all(repository: Path) -> Iterator[tuple[str, str]]:
    for layout in sorted((repository / FOLDER).iterdir()):
        for tag in sorted(_tags(layout)):
            if tag != LATEST and not tag.startswith("sha256-"):
                yield layout.name, tag


def _tags(layout: Path) -> dict[str, str]:
    """Return the tags of a layout and the digests that they stand for."""
    index = json.loads((layout / "index.json").read_bytes())
    return {entry["annotations"][_REF]: entry["digest"] for entry in index["manifests"]}


def _copy(source: str, target: str, tag: str, option: str) -> None:
    argv = ["skopeo", "copy", "--quiet", "--retry-times=3", option]
    run([*argv, f"{source}:{tag}", f"{target}:{tag}"])
