"""Pushing images to an OCI registry with skopeo, which knows the registries' ways to log in.

The login is skopeo's own (``skopeo login``, auth.json). Bytes are pushed as they are, so digests
in the registry are those of the published layout.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from vztmpl.errors import VztmplError, during
from vztmpl.progress import Progress
from vztmpl.repo.formats.oci import FOLDER, LATEST, referrers_tag
from vztmpl.run import run
from vztmpl.template.index import PLAIN_FILE, Index

_LOGIN = ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")
"""What says where the login is: containers-auth.json(5)."""
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


def _all(repository: Path) -> list[tuple[str, str]]:
    path = repository / PLAIN_FILE  # we have just written it
    index = Index.parse(path.read_bytes(), path)
    return [(entry.name, entry.serial) for entry in index.entries]


def _tags(layout: Path) -> dict[str, str]:
    """Return the tags of a layout and the digests that they stand for."""
    index = json.loads((layout / "index.json").read_bytes())
    return {entry["annotations"][_REF]: entry["digest"] for entry in index["manifests"]}


def _copy(source: str, target: str, tag: str, option: str) -> None:
    argv = ["skopeo", "copy", "--quiet", "--retry-times=3", option]
    login = {name: os.environ[name] for name in _LOGIN if name in os.environ}
    run([*argv, f"{source}:{tag}", f"{target}:{tag}"], env=login)
