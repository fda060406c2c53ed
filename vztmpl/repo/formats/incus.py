"""Incus and LXD: a simplestreams tree, and the metadata that makes a tree an image.

The formats are those of incus' shared/simplestreams and doc/reference/image_format.md. An image's
fingerprint is the sha256 of its metadata followed by its root; clients check it, and no signature.
The ``.sjson`` files are for those who do: they lead to one another.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from vztmpl.repo.formats.build import INCUS_META, Build
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.meta import tar_xz
from vztmpl.repo.formats.outputs import File, Output, Signed

_Json = dict[str, object]
_STREAMS = "streams/v1"


def _metadata(build: Build) -> bytes:
    """Return metadata.yaml, as JSON: that is YAML too, and needs no quoting rules of our own."""
    properties = {
        "architecture": build.arch.debian,
        "description": f"{build.title} ({build.serial})",
        "name": str(build.name),
        "os": build.name.os,
        "release": build.name.version,
        "serial": build.serial,
        "variant": build.variant,
    }
    hostname = {"when": ["create", "copy"], "template": "hostname.tpl"}
    metadata = {
        "architecture": build.arch.kernel,
        "creation_date": int(build.built.timestamp()),
        "properties": properties,
        "templates": {"/etc/hostname": hostname},
    }
    texts = {
        "metadata.yaml": json.dumps(metadata, indent=1) + "\n",
        "templates/hostname.tpl": "{{ container.name }}\n",
    }
    return tar_xz(texts, build.manifest.epoch)


def _outputs(builds: Sequence[Build]) -> Iterator[Output]:
    products = dict(
        _product(list(group)) for _, group in groupby(builds, key=lambda build: str(build.name))
    )
    images = _text(
        {
            "content_id": "images",
            "datatype": "image-downloads",
            "format": "products:1.0",
            "products": products,
        }
    )
    yield File(path=f"{_STREAMS}/images.json", content=images)
    yield Signed(path=f"{_STREAMS}/images.sjson", content=images)
    yield File(path=f"{_STREAMS}/index.json", content=_index(products, "json"))
    yield Signed(path=f"{_STREAMS}/index.sjson", content=_index(products, "sjson"))


def _index(products: Iterable[str], suffix: str) -> bytes:
    images = {
        "datatype": "image-downloads",
        "format": "products:1.0",
        "path": f"{_STREAMS}/images.{suffix}",
        "products": sorted(products),
    }
    return _text({"format": "index:1.0", "index": {"images": images}})


def _product(builds: Sequence[Build]) -> tuple[str, _Json]:
    build = builds[-1]
    name, arch, variant = build.name, build.arch.debian, build.variant
    aliases = [f"{name.os}/{name.version}/{variant}", str(name)]
    if not name.set:
        aliases.append(f"{name.os}/{name.version}")
    product: _Json = {
        "aliases": ",".join(aliases),
        "arch": arch,
        "os": name.os,
        "release": name.version,
        "release_title": name.version,
        "requirements": {},
        "variant": variant,
        "versions": {build.serial: {"items": _items(build)} for build in builds},
    }
    return f"{name.os}:{name.version}:{arch}:{variant}", product


def _items(build: Build) -> _Json:
    xz = build.facts[build.image(Form.XZ)].combined_sha256
    fingerprints = {
        "combined_sha256": xz,
        "combined_rootxz_sha256": xz,
        "combined_squashfs_sha256": build.facts[build.image(Form.SQUASHFS)].combined_sha256,
    }
    return {
        "incus.tar.xz": _item(build, INCUS_META, "incus.tar.xz") | fingerprints,
        "lxd.tar.xz": _item(build, INCUS_META, "lxd.tar.xz") | fingerprints,
        "root.squashfs": _item(build, Form.SQUASHFS, "squashfs"),
        "root.tar.xz": _item(build, Form.XZ, "root.tar.xz"),
    }


def _item(build: Build, file: str, kind: str) -> _Json:
    path = build.image(file)
    facts = build.facts[path]
    return {"ftype": kind, "path": path, "sha256": facts.sha256, "size": facts.size_bytes}


def _text(value: _Json) -> bytes:
    return (json.dumps(value, sort_keys=True) + "\n").encode()


MAKER = Maker(forms=(Form.XZ, Form.SQUASHFS), parts={INCUS_META: _metadata}, outputs=_outputs)
