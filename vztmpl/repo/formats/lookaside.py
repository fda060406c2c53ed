"""Signatures of pushed images, where podman, skopeo and CRI-O look for them beside a registry.

The format is that of containers/image's containers-signature(5): an OpenPGP message that names an
image's digest and the reference by which it may be pulled. A policy.json that asks for it and a
registries.d that names our ``sigstore`` folder make these clients refuse anything else.
"""

import json
from collections.abc import Iterator, Sequence

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.oci import image_digest, tags
from vztmpl.repo.formats.outputs import Signed

FOLDER = "sigstore"


def signatures(builds: Sequence[Build], registry: str) -> Iterator[Signed]:
    """Return a signature for each tag under which a build is pushed to ``docker://HOST/PATH``."""
    place = registry.removeprefix("docker://")
    path = "/".join([FOLDER, *place.split("/")[1:]])
    for build in builds:
        digest = image_digest(build)
        folder = f"{path}/{build.name}@{digest.replace(':', '=')}"
        for number, tag in enumerate(tags(build), start=1):
            text = _text(digest, f"{place}/{build.name}:{tag}")
            yield Signed(path=f"{folder}/signature-{number}", content=text, clear=False)


def _text(digest: str, reference: str) -> bytes:
    critical = {
        "type": "atomic container signature",
        "image": {"docker-manifest-digest": digest},
        "identity": {"docker-reference": reference},
    }
    return json.dumps({"critical": critical, "optional": {"creator": "vztmpl"}}).encode()
