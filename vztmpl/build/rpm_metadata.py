"""Reading the metadata of rpm repositories, after dnf or zypper has fetched and verified it.

``primary.xml`` (createrepo_c) has for every package what it is called, its sha256, and when it was
built; neither program prints that.
"""

import gzip
import lzma
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, cast
from xml.etree.ElementTree import Element, iterparse

from vztmpl.build.package import Package, Resolved
from vztmpl.errors import VztmplError
from vztmpl.run import piped

_NAMESPACE = "{http://linux.duke.edu/metadata/common}"


def resolved(
    wanted: Collection[str], folders: Mapping[str, Path], urls: Mapping[str, str]
) -> Resolved:
    """Look up packages called ``name-version-release.arch`` in the metadata of repositories.

    ``folders`` and ``urls`` go by the name of the repository.
    """
    found: dict[str, tuple[Package, int]] = {}
    for name, folder in folders.items():
        for file in sorted(folder.rglob("*primary.xml*")):
            for identity, package, built in _packages(file, urls[name]):
                if identity in wanted:
                    found.setdefault(identity, (package, built))
    if missing := sorted(set(wanted) - set(found)):
        raise VztmplError(f"the metadata of the repositories do not have {missing[0]}")
    ordered = [found[identity] for identity in sorted(wanted)]
    return Resolved(
        layers=(tuple(package for package, _ in ordered),),
        epoch=max(built for _, built in ordered),
        sources=tuple(urls.values()),
    )


def _packages(file: Path, url: str) -> Iterator[tuple[str, Package, int]]:
    with _opened(file) as text:
        for _, element in iterparse(text):  # noqa: S314 - signed, or named by what is
            if element.tag == f"{_NAMESPACE}package":
                yield _package(element, url)
                element.clear()


def _package(element: Element, url: str) -> tuple[str, Package, int]:
    name, arch = (_text(element, tag) for tag in ("name", "arch"))
    version, checksum = (_child(element, tag) for tag in ("version", "checksum"))
    epoch = version.get("epoch") or "0"
    evr = f"{version.get('ver')}-{version.get('rel')}"
    evr = evr if epoch == "0" else f"{epoch}:{evr}"
    package = Package(
        name=name,
        version=evr,
        arch=arch,
        sha256=checksum.text or "" if checksum.get("type") == "sha256" else "",
        url=f"{url}/{_child(element, 'location').get('href')}",
    )
    return f"{name}-{evr}.{arch}", package, int(_child(element, "time").get("build") or 0)


def _child(element: Element, tag: str) -> Element:
    child = element.find(f"{_NAMESPACE}{tag}")
    if child is None:
        raise VztmplError(f"a package in the metadata of a repository has no {tag}")
    return child


def _text(element: Element, tag: str) -> str:
    return _child(element, tag).text or ""


def _opened(file: Path) -> AbstractContextManager[IO[bytes]]:
    if file.suffix == ".zst":
        return piped(["zstd", "--decompress", "--stdout", file])
    if file.suffix in (".gz", ".xz"):
        library = gzip if file.suffix == ".gz" else lzma
        return cast("AbstractContextManager[IO[bytes]]", library.open(file))
    return file.open("rb")
