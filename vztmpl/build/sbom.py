"""The bill of materials of a template: its packages as CycloneDX 1.6 JSON.

The same build gives the same bytes: nothing in it is random or taken from the clock. Scanners for
known vulnerabilities read the packages' purls (github.com/package-url/purl-spec).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from os.path import lexists
from pathlib import Path
from typing import Self
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from vztmpl.build.upstream import upstreams
from vztmpl.template.name import TemplateName

_DATABASES = {
    "var/lib/dpkg/status": "deb",
    "var/lib/rpm": "rpm",
    "usr/lib/sysimage/rpm": "rpm",
    "var/lib/pacman/local": "alpm",
    "lib/apk/db/installed": "apk",
    "usr/lib/apk/db/installed": "apk",
}
_NAMESPACES = {"archlinux": "arch", "rockylinux": "rocky"}
"""Where purl's word for a distribution is not the first one of its templates' names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What is installed in a tree."""

    versions: Mapping[str, str]
    """Of each package: ``name``, ``name:arch`` as dpkg says, or ``name.arch`` as rpm."""
    kind: str
    """Purl's word for them, as ``deb``."""
    upstreams: Mapping[str, str]
    """The source package of each, where its name is another one."""

    @classmethod
    def of(cls, tree: Path, versions: Mapping[str, str]) -> Self:
        """Look in the tree for what the versions do not say."""
        kind = _package_type(tree)
        return cls(versions=versions, kind=kind, upstreams=upstreams(tree, kind))


def sbom(name: TemplateName, digest: str, epoch: int, packages: Packages) -> bytes:
    """Return the document for a template whose tar has the sha256 ``digest``."""
    template = Component(
        name=str(name),
        type=ComponentType.CONTAINER,
        bom_ref=f"sha256:{digest}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    contents = [_system(name), *_components(name, packages)]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"sha256:{digest}"),
        metadata=BomMetaData(component=template, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=contents,
    )
    bom.register_dependency(template, contents)
    made = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(made, indent=1, sort_keys=True) + "\n").encode()


def _package_type(tree: Path) -> str:
    """Return purl's word for the kind of packages in a tree, ``generic`` when it has none."""
    return next((kind for path, kind in _DATABASES.items() if lexists(tree / path)), "generic")


def _system(name: TemplateName) -> Component:
    """Return the distribution as a component: what scanners choose their database by."""
    return Component(
        name=_namespace(name),
        version=name.version,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"{name.os}-{name.version}",
    )


def _components(name: TemplateName, packages: Packages) -> Iterator[Component]:
    for package, version in packages.versions.items():
        purl = _purl(name, package, version, packages)
        yield Component(
            name=purl.name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=purl,
            bom_ref=purl.to_string(),
        )


def _purl(name: TemplateName, package: str, version: str, packages: Packages) -> PackageURL:
    plain, arch = _name_and_arch(package, packages.kind)
    qualifiers = {
        "arch": arch,
        "distro": f"{name.os}-{name.version}",
        "upstream": packages.upstreams.get(plain, ""),
    }
    if packages.kind == "rpm" and ":" in version:
        qualifiers["epoch"], _, version = version.partition(":")
    return PackageURL(packages.kind, _namespace(name), plain, version, qualifiers)


def _name_and_arch(package: str, kind: str) -> tuple[str, str]:
    if kind == "rpm" and "." in package:
        name, _, arch = package.rpartition(".")
    else:
        name, _, arch = package.partition(":")
    return name, arch


def _namespace(name: TemplateName) -> str:
    return _NAMESPACES.get(name.os, name.os.partition("-")[0])
