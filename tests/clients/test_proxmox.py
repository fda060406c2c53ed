"""Proxmox VE, which Debian does not have: a reader as strict as pve-manager's and pve-storage's."""

import gzip
import re
from hashlib import sha512
from pathlib import Path

import pytest

from tests.clients.conftest import NAME, NEW, Published, capabilities, facts, run
from tests.fakes import Signer
from vztmpl.template.signature import verify_detached

pytestmark = pytest.mark.root

REQUIRED = {
    "Package",
    "Version",
    "Type",
    "OS",
    "Infopage",
    "Description",
    "Section",
    "Architecture",
}
NAME_RULE = re.compile(r"[a-z0-9.+-]+_[^_/]+_(amd64|i386|arm64|armhf)\.tar\.(gz|xz|zst|bz2)")


def records(text: str) -> list[dict[str, str]]:
    """Take an aplinfo.dat apart as PVE/APLInfo.pm does: one bad record makes the whole fail."""
    found = []
    for record in re.split(r"\n\s*\n", text):
        if not record.strip():
            continue
        fields: dict[str, str] = {}
        rest = record + "\n"
        while match := re.match(r"(?!Description)([A-Za-z0-9]+):[ \t]*(.*?)[ \t]*\n", rest):
            assert match[1] not in fields
            fields[match[1]] = match[2]
            rest = rest[match.end() :]
        match = re.fullmatch(r"Description:[ \t]*(.*\n(?:[ \t]+.*\n)*)", rest)
        assert match, f"nothing may follow the description: {rest!r}"
        found.append({**fields, "Description": match[1]})
    return found


@pytest.fixture
def record(published: Published) -> dict[str, str]:
    (only,) = records((published.folder / "proxmox/aplinfo.dat").read_text())
    return only


def test_the_index_is_signed_uncompressed_and_served_compressed(
    published: Published, publisher: Signer
) -> None:
    folder = published.folder / "proxmox"
    text = gzip.decompress((folder / "aplinfo.dat.gz").read_bytes())
    assert text == (folder / "aplinfo.dat").read_bytes()
    verify_detached(text, (folder / "aplinfo.dat.asc").read_bytes(), publisher.public_key, "x")


def test_a_record_says_all_that_pveam_needs(published: Published, record: dict[str, str]) -> None:
    assert record.keys() >= REQUIRED
    assert (record["Package"], record["Version"]) == ("busybox-1", NEW)
    assert record["Type"] == "lxc"
    assert re.fullmatch(r"\d[a-zA-Z0-9.+\-:~]*(-\d+)?", record["Version"])
    assert NAME_RULE.fullmatch(record["Location"].removeprefix("system/"))
    archive = published.folder / "proxmox" / record["Location"]
    assert sha512(archive.read_bytes()).hexdigest() == record["sha512sum"]
    assert archive.samefile(published.folder / f"templates/{NAME}/{NEW}/{NAME}.tar.zst")


def test_pct_finds_a_system_in_it_and_unpacks_it_whole(
    published: Published, record: dict[str, str], tmp_path: Path
) -> None:
    archive = published.folder / "proxmox" / record["Location"]
    members = run("tar", "--zstd", "--list", f"--file={archive}").splitlines()
    assert len(members) >= 10
    assert all(member.startswith("./") for member in members)
    assert {"./sbin", "./sbin/"} & set(members)
    options = ["--one-file-system", "-p", "--sparse", "--numeric-owner", "--acls", "--xattrs"]
    kept = ("--xattrs-include=user.*", "--xattrs-include=security.capability")
    apart = ("--skip-old-files", "--anchored", "--exclude", "./dev/*", f"--directory={tmp_path}")
    run("tar", "xpf", archive, "--zstd", *options, *kept, *apart)
    assert facts(tmp_path) == published.system
    assert capabilities(tmp_path)
