"""The bill of materials of a template: its packages as CycloneDX 1.6 JSON.

The same build gives the same bytes: nothing in it is random or taken from the clock. Scanners for
known vulnerabilities read the packages' purls (github.com/package-url/purl-spec).
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from os.path import lexists
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

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


def package_type(tree: Path) -> str:
    """Return purl's word for the kind of packages in a tree, ``generic`` when it has none."""
    return next((kind for path, kind in _DATABASES.items() if lexists(tree / path)), "generic")


def sbom(
    name: TemplateName, digest: str, epoch: int, packages: Mapping[str, str], kind: str
) -> bytes:
    """Return the document for a template whose tar has the sha256 ``digest``."""
    template = Component(
        name=str(name),
        type=ComponentType.CONTAINER,
        bom_ref=f"sha256:{digest}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )
    contents = [_system(name), *_packages(name, packages, kind)]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"sha256:{digest}"),
        metadata=BomMetaData(component=template, timestamp=datetime.fromtimestamp(epoch, UTC)),
        components=contents,
    )
    bom.register_dependency(template, contents)
    made = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(made, indent=1, sort_keys=True) + "\n").encode()


def purl(name: TemplateName, package: str, version: str, kind: str) -> PackageURL:
    """Return the purl of a package, ``name`` or ``name:arch``, as it is in a template."""
    plain, _, arch = package.partition(":")
    qualifiers = {"arch": arch, "distro": f"{name.os}-{name.version}"}
    if kind == "rpm" and ":" in version:
        qualifiers["epoch"], _, version = version.partition(":")
    return PackageURL(kind, _namespace(name), plain, version, qualifiers)


def _system(name: TemplateName) -> Component:
    """Return the distribution as a component: what scanners choose their database by."""
    return Component(
        name=_namespace(name),
        version=name.version,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"{name.os}-{name.version}",
    )


def _packages(name: TemplateName, packages: Mapping[str, str], kind: str) -> Iterator[Component]:
    for package, version in packages.items():
        identity = purl(name, package, version, kind)
        yield Component(
            name=identity.name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=identity,
            bom_ref=identity.to_string(),
        )


def _namespace(name: TemplateName) -> str:
    return _NAMESPACES.get(name.os, name.os.partition("-")[0])
