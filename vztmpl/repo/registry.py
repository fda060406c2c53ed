"""A repository in an OCI registry: the same files, found by tags instead of paths.

    oci://HOST/PATH:index           index.json.asc, key.asc, keys/N.json.asc
    oci://HOST/PATH:NAME_SERIAL     the files of one build

Each tag is an artifact whose layers are files, titled as ORAS does, so ``oras pull`` gets them too.
A registry is one more mirror: nothing that it says is believed before the signed index agrees.
Formats: OCI distribution-spec and image-spec 1.1. https, but for this machine's own registries.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urljoin, urlsplit

from vztmpl.errors import VerificationError, during
from vztmpl.progress import Progress
from vztmpl.repo import keys
from vztmpl.repo.publish import KEY_FILE
from vztmpl.repo.source import Answer, Patience, Source, not_found
from vztmpl.repo.web import Web, web
from vztmpl.template import index as indexes
from vztmpl.template.index import Index

_INDEX_TAG = "index"
_TITLE = "org.opencontainers.image.title"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ARTIFACT = "application/vnd.vztmpl.repository"
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_FILE_TYPE = "application/octet-stream"
_MAX_MANIFEST_BYTES = 4 << 20
_LOCAL = ("localhost", "127.0.0.1", "::1")
_BUILD_PATH_PARTS = 4  # templates/NAME/SERIAL/FILE


@contextmanager
def registry(url: str, patience: Patience) -> Iterator["Registry"]:
    """Yield the files of a repository in a registry."""
    parts = urlsplit(url)
    scheme = "http" if parts.hostname in _LOCAL else "https"
    with web(f"{scheme}://{parts.netloc}/v2{parts.path}", patience) as api:
        yield Registry(url, api)


def push(repository: Path, url: str, progress: Progress) -> None:
    """Bring a registry up to date with a published repository, the index last.

    Builds that are there already are not sent again; those that left the index stay there.
    """
    index = Index.parse((repository / indexes.PLAIN_FILE).read_bytes(), repository)
    with during(f"pushing to {url}"), registry(url, Patience()) as target:
        for entry in index.entries:
            folder = repository / entry.path
            files = {name: folder / name for name in sorted(entry.files)}
            target.push(_place(f"{entry.path}/x")[0], files, progress)
        lists = sorted((repository / keys.FOLDER).glob("*.json.asc"))
        paths = [repository / indexes.FILE, repository / KEY_FILE, *lists]
        target.push(
            _INDEX_TAG, {str(path.relative_to(repository)): path for path in paths}, progress
        )


class Registry(Source):
    """A repository of a registry, to read from and to push to."""

    def __init__(self, url: str, api: Web) -> None:
        super().__init__(url)
        self._api = api
        self._name = urlsplit(url).path.strip("/")
        self._lists: dict[str, Mapping[str, str]] = {}

    def begin(
        self, url: str, *, start: int = 0, version: str = "", unless_version: str = ""
    ) -> Answer | None:
        """Begin to read a file; its version is the digest of its content."""
        tag, title = _place(unquote(url.removeprefix(f"{self.url}/")))
        if (digest := self._files(tag).get(title)) is None:
            raise not_found(url)
        if digest == unless_version:
            return None
        start = start if version in ("", digest) else 0
        answer = self._api.begin(self._api.at(f"blobs/{digest}"), start=start)
        assert answer is not None  # noqa: S101 - nothing was made a condition
        return Answer(start=answer.start, version=digest, chunks=answer.chunks)

    def push(self, tag: str, files: Mapping[str, Path], progress: Progress) -> None:
        """Put files, by title, there under a tag; what is there already is not sent again."""
        self._api.log_in(self._api.at("tags/list"), f"repository:{self._name}:pull,push")
        layers = []
        for title, path in files.items():
            with path.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            progress.phase(f"pushing {path.name}")
            self._put(digest, path)
            layers.append(_layer(digest, path.stat().st_size, _FILE_TYPE, {_TITLE: title}))
        empty = f"sha256:{hashlib.sha256(_EMPTY).hexdigest()}"
        self._put(empty, _EMPTY)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": _ARTIFACT,
            "config": _layer(empty, len(_EMPTY), _EMPTY_TYPE, {}),
            "layers": layers,
        }
        self._api.ask(
            "PUT", self._api.at(f"manifests/{tag}"), json.dumps(manifest).encode(), _MANIFEST
        )

    def _files(self, tag: str) -> Mapping[str, str]:
        """Return the digests of the files under a tag, by title."""
        if tag not in self._lists:
            where = self._api.at(f"manifests/{tag}")
            self._api.log_in(where, f"repository:{self._name}:pull")
            text = self._api.read_as(where, _MANIFEST, _MAX_MANIFEST_BYTES)
            try:
                self._lists[tag] = {
                    str(layer["annotations"][_TITLE]): str(layer["digest"])
                    for layer in json.loads(text)["layers"]
                }
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise VerificationError(f"{where} is not a list of files") from error
        return self._lists[tag]

    def _put(self, digest: str, content: bytes | Path) -> None:
        """Upload a blob unless it is there."""
        if self._api.has(self._api.at(f"blobs/{digest}")):
            return
        begun = self._api.ask("POST", self._api.at("blobs/uploads/"), b"", _FILE_TYPE)
        where = urljoin(self._api.url, begun.headers["location"])
        where += f"{'&' if urlsplit(where).query else '?'}digest={quote(digest)}"
        if isinstance(content, bytes):
            self._api.ask("PUT", where, content, _FILE_TYPE)
        else:
            with content.open("rb") as file:
                self._api.ask("PUT", where, file, _FILE_TYPE)


def _place(path: str) -> tuple[str, str]:
    """Return tag and title of a file."""
    parts = path.split("/")
    if len(parts) == _BUILD_PATH_PARTS:
        return f"{parts[1]}_{parts[2]}", parts[3]
    return _INDEX_TAG, path


def _layer(
    digest: str, size_bytes: int, media_type: str, annotations: Mapping[str, str]
) -> dict[str, object]:
    return {
        "mediaType": media_type,
        "digest": digest,
        "size": size_bytes,
        "annotations": dict(annotations),
    }
