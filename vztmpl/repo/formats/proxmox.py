"""Proxmox VE: an appliance index, and templates under the names that ``pct`` takes.

The format is that of pve-manager's PVE/APLInfo.pm and aplinfo/README.format; names are those of
pve-storage. Our own tar.zst is what it unpacks.
"""

import gzip
from collections.abc import Iterator, Sequence

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.outputs import File, Link, Output

FOLDER = "proxmox"


def file_name(build: Build) -> str:
    """Name a template as pve-storage wants it."""
    return f"{_package(build)}_{build.serial}_{build.arch.debian}.tar.zst"


def _outputs(builds: Sequence[Build]) -> Iterator[Output]:
    newest = [build for build in builds if build.newest]
    for build in newest:
        yield Link(
            path=f"{FOLDER}/system/{file_name(build)}",
            to=build.archive,
            sha256=build.facts[build.archive].sha256,
        )
    text = "".join(map(_record, newest)).encode()
    yield File(path=f"{FOLDER}/aplinfo.dat.gz", content=gzip.compress(text, mtime=0))
    # The signature is over the uncompressed file.
    path = f"{FOLDER}/aplinfo.dat"
    yield File(path=path, content=text, signature=f"{path}.asc")


def _record(build: Build) -> str:
    """Write a record; Description has to be the last field, an empty line ends it."""
    fields = {
        "Package": _package(build),
        "Version": build.serial,
        "Type": "lxc",
        "OS": f"{build.name.os}-{build.name.version}",
        "Section": "system",
        "Architecture": build.arch.debian,
        "Location": f"system/{file_name(build)}",
        "sha512sum": build.facts[build.archive].sha512,
        "Infopage": "https://pve.proxmox.com/wiki/Linux_Container",
        "Description": build.title,
    }
    lines = [f"{key}: {value}\n" for key, value in fields.items()]
    return "".join([*lines, f" {build.name}, built {build.built:%Y-%m-%d}\n", "\n"])


def _package(build: Build) -> str:
    return "-".join(filter(None, (build.name.os, build.name.version, build.name.set)))


MAKER = Maker(outputs=_outputs)
