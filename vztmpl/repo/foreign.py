"""What other systems' image servers offer: simplestreams, and Proxmox' aplinfo.

Only read: an offer is a URL with a checksum for ``repo.intake``. Sources of the formats: lxc/incus
``shared/simplestreams``, proxmox/pve-manager ``aplinfo/README.format``. Such an index has no date
of expiry and no serial; it may be signed (``.sjson``, ``.asc``), which most of its own clients
ignore.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

from vztmpl.errors import UsageError, VerificationError
from vztmpl.repo.fetch import opened
from vztmpl.repo.source import Source
from vztmpl.template.name import TemplateName
from vztmpl.template.signature import verify_clear, verify_detached

MAX_BYTES = 64 << 20
_ARCHITECTURES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "armhf": "armv7",
    "i386": "x86",
    "ppc64el": "ppc64le",
}
_TARBALLS = ("root.tar.xz", "tar.gz", "tar.xz", "root.tar.gz")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A root file system that can be imported."""

    name: str
    """The template name that fits."""
    version: str
    url: str
    algorithm: str
    """``sha256`` or ``sha512``."""
    checksum: str
    size_bytes: int = 0


def offers(url: str, public_keys: bytes) -> list[Offer]:
    """Return the newest version of all that a server offers, by name.

    With keys the index has to be signed by one of them; without any it is taken as it comes.
    VerificationError when it is not signed, or makes no sense.
    """
    folder, _, file = url.rpartition("/")
    is_aplinfo = file.startswith("aplinfo")
    with opened(folder if is_aplinfo else url) as source:
        try:
            found = (
                _aplinfo(source, file, public_keys)
                if is_aplinfo
                else _simplestreams(source, public_keys)
            )
            newest = {one.name: one for one in sorted(found, key=lambda one: one.version)}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise VerificationError(f"{url}: not an index of images: {error}") from error
    return [newest[name] for name in sorted(newest)]


def _simplestreams(source: Source, public_keys: bytes) -> Iterator[Offer]:
    index = _stream(source, "streams/v1/index.json", public_keys)
    for part in index["index"].values():
        if part.get("datatype") == "image-downloads" and part.get("products"):
            products = _stream(source, part["path"], public_keys)["products"]
            for product in products.values():
                yield from _versions(source.url, product)


def _stream(source: Source, path: str, public_keys: bytes) -> Any:
    """Read a file of a server; the signed twin of it when keys are given."""
    if not public_keys:
        return json.loads(source.read(path, MAX_BYTES))
    signed = f"{path.removesuffix('.json')}.sjson"
    text, _ = verify_clear(source.read(signed, MAX_BYTES), public_keys, source.at(signed))
    return json.loads(text)


def _versions(url: str, product: Mapping[str, Any]) -> Iterator[Offer]:
    name = _name(product["os"], product["release"], product["arch"], product.get("variant", ""))
    for version, content in product["versions"].items():
        for item in content["items"].values():
            if item.get("ftype") in _TARBALLS and item.get("sha256") and name:
                yield Offer(
                    name=name,
                    version=version,
                    url=f"{url}/{quote(item['path'])}",
                    algorithm="sha256",
                    checksum=item["sha256"],
                    size_bytes=int(item.get("size", 0)),
                )


def _aplinfo(source: Source, file: str, public_keys: bytes) -> Iterator[Offer]:
    text = source.read(file, MAX_BYTES)
    if public_keys:
        signature = source.read(f"{file}.asc", MAX_BYTES)
        verify_detached(text, signature, public_keys, source.at(file))
    for record in text.decode().split("\n\n"):
        lines = [line.partition(":") for line in record.splitlines() if not line.startswith(" ")]
        fields = {key.lower(): value.strip() for key, _, value in lines}
        if fields.get("type") in ("lxc", "openvz") and fields.get("sha512sum"):
            yield from _appliance(source.url, fields)


def _appliance(url: str, fields: Mapping[str, str]) -> Iterator[Offer]:
    package, architecture = fields["package"], fields.get("architecture", "i386")
    system, _, release = fields["os"].partition("-")
    what = package.removeprefix(f"{fields['os']}-")
    name = _name(system, release or fields["version"], architecture, what)
    if name and "location" in fields:
        yield Offer(
            name=name,
            version=fields["version"],
            url=urljoin(f"{url}/", fields["location"]),
            algorithm="sha512",
            checksum=fields["sha512sum"],
        )


def _name(system: str, release: str, architecture: str, variant: str) -> str:
    """Make a template name of others' words; empty when there is none for it."""
    plain = [_NOT_IN_NAMES.sub("", word.lower()) for word in (system, release)]
    arch = _ARCHITECTURES.get(architecture, architecture)
    set_ = "" if variant in ("", "default") else _NOT_IN_NAMES.sub("-", variant.lower())
    name = "-".join([*plain, arch, *([set_] if set_ else [])])
    try:
        return str(TemplateName.parse(name))
    except UsageError:
        return ""
