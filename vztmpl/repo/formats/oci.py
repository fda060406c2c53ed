"""OCI: an image layout for each template, one tag for each build, and what belongs to it.

The formats are those of opencontainers/image-spec. The layer is gzip: umoci, and so Incus and LXC,
read no zstandard. Signature, SBOM and provenance are manifests of their own whose subject is the
image; an index under the tag ``sha256-<hex of the image>`` names them, which is distribution-spec's
way for registries that have no referrers API.
"""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from typing import NamedTuple

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.outputs import File, Link, Output

FOLDER = "oci"
LATEST = "latest"
_OCI = "application/vnd.oci"
_INDEX, _MANIFEST = f"{_OCI}.image.index.v1+json", f"{_OCI}.image.manifest.v1+json"
_TITLE = "org.opencontainers.image.title"
_Json = dict[str, object]


class _Attachment(NamedTuple):
    kind: str
    """Its artifactType."""
    files: tuple[tuple[str, str], ...]
    """Suffixes of the template's own files, and their media types."""


_ATTACHMENTS = (
    _Attachment(
        "application/vnd.vztmpl.manifest+json",
        (
            (".json", "application/vnd.vztmpl.manifest+json"),
            (".json.asc", "application/pgp-signature"),
        ),
    ),
    _Attachment(
        "application/vnd.cyclonedx+json", ((".cdx.json", "application/vnd.cyclonedx+json"),)
    ),
    _Attachment(
        "application/vnd.in-toto+json", ((".provenance.json", "application/vnd.in-toto+json"),)
    ),
)


def referrers_tag(digest: str) -> str:
    """Name the tag of what refers to the image whose manifest has this digest."""
    return digest.replace(":", "-")


def tags(build: Build) -> tuple[str, ...]:
    """Name the tags of a build."""
    return (build.serial, LATEST) if build.newest else (build.serial,)


def image_digest(build: Build) -> str:
    """Return the digest of a build's image: that of its manifest."""
    return str(_Layout(FOLDER).image(build)["digest"])


def _outputs(builds: Sequence[Build]) -> Iterator[Output]:
    for name, group in groupby(builds, key=lambda build: str(build.name)):
        yield from _Layout(f"{FOLDER}/{name}").outputs(list(group))


class _Layout:
    """The image layout of one template, as it is put together."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._blobs: dict[str, Output] = {}

    def outputs(self, builds: Sequence[Build]) -> Iterator[Output]:
        """Return its files, the index last."""
        listed = [entry for build in builds for entry in self._entries(build)]
        yield from self._blobs.values()
        layout = b'{"imageLayoutVersion":"1.0.0"}'
        yield File(path=f"{self._folder}/oci-layout", content=layout)
        index = _index(listed)
        yield File(path=f"{self._folder}/index.json", content=index)

    def image(self, build: Build) -> _Json:
        """Put a build's image in; return its descriptor."""
        layer = self._file(f"{_OCI}.image.layer.v1.tar+gzip", build, build.image(Form.GZIP))
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._blob(f"{_OCI}.image.config.v1+json", _json(_config(build))),
            "layers": [layer],
            "annotations": _annotations(build),
        }
        return self._blob(_MANIFEST, _json(manifest))

    def _entries(self, build: Build) -> Iterator[_Json]:
        image = self.image(build)
        platform = {"os": "linux", "architecture": build.arch.go}
        for tag in tags(build):
            yield image | {"platform": platform, "annotations": _tagged(tag)}
        if referrers := [*self._referrers(build, image)]:
            tag = referrers_tag(str(image["digest"]))
            yield self._blob(_INDEX, _index(referrers)) | {"annotations": _tagged(tag)}

    def _referrers(self, build: Build, image: _Json) -> Iterator[_Json]:
        for attachment in _ATTACHMENTS:
            files = [(build.own(suffix), kind) for suffix, kind in attachment.files]
            if not all(path in build.facts for path, _ in files):
                continue
            manifest = {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "artifactType": attachment.kind,
                "config": self._blob(f"{_OCI}.empty.v1+json", b"{}"),
                "layers": [
                    self._file(kind, build, path)
                    | {"annotations": {_TITLE: path.rpartition("/")[2]}}
                    for path, kind in files
                ],
                "subject": image,
            }
            entry = self._blob(_MANIFEST, _json(manifest))
            yield entry | {"artifactType": attachment.kind}

    def _blob(self, kind: str, content: bytes) -> _Json:
        digest = sha256(content).hexdigest()
        self._blobs[digest] = File(path=self._path(digest), content=content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    def _file(self, kind: str, build: Build, path: str) -> _Json:
        facts = build.facts[path]
        digest = facts.sha256
        self._blobs[digest] = Link(path=self._path(digest), to=path, sha256=digest)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": facts.size_bytes}

    def _path(self, digest: str) -> str:
        return f"{self._folder}/blobs/sha256/{digest}"


def _config(build: Build) -> _Json:
    created = f"{build.built:%Y-%m-%dT%H:%M:%SZ}"
    platform = {"os": "linux", "architecture": build.arch.go}
    if build.arch.go == "arm":
        platform["variant"] = "v7"
    return {
        "created": created,
        **platform,
        "config": {
            "Cmd": ["/sbin/init"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Labels": _annotations(build),
            "StopSignal": "SIGRTMIN+3",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{build.manifest.digest}"]},
        "history": [{"created": created, "created_by": f"vztmpl build {build.name}"}],
    }


def _annotations(build: Build) -> dict[str, str]:
    return {
        "org.opencontainers.image.created": f"{build.built:%Y-%m-%dT%H:%M:%SZ}",
        "org.opencontainers.image.description": build.title,
        _TITLE: str(build.name),
        "org.opencontainers.image.version": build.serial,
    }


def _tagged(tag: str) -> dict[str, str]:
    return {"org.opencontainers.image.ref.name": tag}


def _index(manifests: Sequence[_Json]) -> bytes:
    return _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": list(manifests)})


def _json(value: _Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


MAKER = Maker(forms=(Form.GZIP,), outputs=_outputs)
