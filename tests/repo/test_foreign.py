"""What servers of other systems offer, and how far it is believed."""

import json
import tarfile
from hashlib import sha256, sha512
from pathlib import Path

import pytest

from tests.fakes import Signer
from vztmpl.cli.vztmpl import main
from vztmpl.errors import NotFoundError, VerificationError
from vztmpl.repo.foreign import Offer, offers

ROOTFS = b"a root file system"


def version(path: str, ftype: str = "root.tar.xz") -> dict[str, object]:
    meta = {"ftype": "incus.tar.xz", "path": "meta.tar.xz", "sha256": "0" * 64, "size": 1}
    root = {
        "ftype": ftype,
        "path": path,
        "sha256": sha256(ROOTFS).hexdigest(),
        "size": len(ROOTFS),
    }
    return {"items": {"incus.tar.xz": meta, "root.tar.xz": root}}


def product(
    os: str, release: str, arch: str, variant: str, **versions: object
) -> dict[str, object]:
    about = {"os": os, "release": release, "arch": arch, "variant": variant}
    return {**about, "versions": versions}


PRODUCTS = {
    "debian:trixie:amd64:default": product(
        "Debian", "trixie", "amd64", "default",
        **{"20260801_05:24": version("old.tar.xz"), "20260822_05:24": version("a b/new.tar.xz")},
    ),
    "alpine:3.20:arm64:cloud": product(
        "Alpine", "3.20", "arm64", "cloud", **{"20260822": version("alpine.tar.xz")}
    ),
    "odd:1:m68k:default": product("Odd", "1", "m68k", "default", **{"20260822": version("x")}),
    "vm:1:amd64:default": product(
        "Vm", "1", "amd64", "default", **{"20260822": version("x", "disk.qcow2")}
    ),
}  # fmt: skip


def simplestreams(folder: Path, signer: Signer | None = None) -> str:
    (folder / "streams/v1").mkdir(parents=True)
    part = {"datatype": "image-downloads", "path": "streams/v1/images.json", "products": ["x"]}
    index = {"format": "index:1.0", "index": {"images": part, "other": {"datatype": "x"}}}
    for name, value in (("index", index), ("images", {"products": PRODUCTS})):
        text = json.dumps(value).encode()
        (folder / f"streams/v1/{name}.json").write_bytes(text)
        if signer:
            signed = signer.keyring.sign(text, signer.fingerprint, clear=True)
            (folder / f"streams/v1/{name}.sjson").write_bytes(signed)
    return f"file://{folder}"


def test_simplestreams_offers_the_newest_tarballs(tmp_path: Path) -> None:
    url = simplestreams(tmp_path)
    assert offers(url, b"") == [
        Offer(
            name=name,
            version=number,
            url=f"{url}/{path}",
            algorithm="sha256",
            checksum=sha256(ROOTFS).hexdigest(),
            size_bytes=len(ROOTFS),
        )
        for name, number, path in (
            ("alpine-3.20-aarch64-cloud", "20260822", "alpine.tar.xz"),
            ("debian-trixie-x86_64", "20260822_05:24", "a%20b/new.tar.xz"),
        )
    ]


def test_with_a_key_only_a_signed_index_counts(
    tmp_path: Path, publisher: Signer, stranger: Signer
) -> None:
    url = simplestreams(tmp_path / "signed", publisher)
    assert len(offers(url, publisher.public_key)) == 2
    with pytest.raises(VerificationError, match="no valid signature"):
        offers(url, stranger.public_key)
    with pytest.raises(NotFoundError, match=r"index\.sjson"):
        offers(simplestreams(tmp_path / "unsigned"), publisher.public_key)


APLINFO = f"""Package: debian-13-standard
Version: 13.6-1
Type: lxc
OS: debian-13
Section: system
Architecture: amd64
Location: system/debian-13-standard_13.6-1_amd64.tar.zst
sha512sum: {sha512(ROOTFS).hexdigest()}
Infopage: https://example.org/
Description: Debian 13 Trixie (standard)
 A small system: with a colon.

Package: pve-web-news
Type: news
Description: none

Package: old
Version: 1
Type: openvz
OS: old-1
md5sum: 0
Description: without a checksum that counts
"""


def test_aplinfo_offers_what_has_a_good_checksum(tmp_path: Path, publisher: Signer) -> None:
    (tmp_path / "aplinfo.dat").write_text(APLINFO)
    url = f"file://{tmp_path}/aplinfo.dat"
    (found,) = offers(url, b"")
    assert (found.name, found.algorithm) == ("debian-13-x86_64-standard", "sha512")
    assert found.url.endswith("/system/debian-13-standard_13.6-1_amd64.tar.zst")
    with pytest.raises(NotFoundError):
        offers(url, publisher.public_key)
    signature = publisher.keyring.sign(APLINFO.encode(), publisher.fingerprint)
    (tmp_path / "aplinfo.dat.asc").write_bytes(signature)
    assert offers(url, publisher.public_key) == [found]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"index": {"a": 1}}', "[" * 100_000])
def test_what_is_no_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "streams/v1").mkdir(parents=True)
    (tmp_path / "streams/v1/index.json").write_text(text)
    with pytest.raises(VerificationError, match="not an index of images"):
        offers(f"file://{tmp_path}", b"")


def test_what_is_listed_can_be_imported_as_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/usr").mkdir()
    with tarfile.open(tmp_path / "rootfs.tar", "w") as tar:
        tar.add(tmp_path / "tree", ".")
    checksum = sha512((tmp_path / "rootfs.tar").read_bytes()).hexdigest()
    text = APLINFO.replace("system/debian-13-standard_13.6-1_amd64.tar.zst", "rootfs.tar")
    (tmp_path / "aplinfo.dat").write_text(text.replace(sha512(ROOTFS).hexdigest(), checksum))
    url = f"file://{tmp_path}/aplinfo.dat"
    assert main(["foreign", url]) == 2
    assert main(["foreign", url, "debian", "--unsigned"]) == 0
    out, err = capsys.readouterr()
    assert "nobody signed these checksums" in err
    words = out.split()
    assert words[:2] == ["vztmpl", "import"]
    assert main(words[1:]) == 0
    assert main([*words[1:-1], "0" * 128]) == 6
    assert main(["foreign", url, "nothing-like-it", "--unsigned"]) == 0
