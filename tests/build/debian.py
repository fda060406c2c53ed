"""A tiny Debian archive of our own, signed and served over HTTP, that real apt and dpkg accept."""

import gzip
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.fakes import FakeServer, Signer, fake_program

PROGRAMS = (
    "cat", "chmod", "chown", "cp", "dash", "diff", "dpkg", "dpkg-deb", "dpkg-query", "dpkg-split",
    "env", "ln", "ls", "mkdir", "mv", "rm", "sed", "sh", "sleep", "stat", "tar", "touch",
)  # fmt: skip
STUBS = ("ldconfig", "start-stop-daemon")
DATE = 1768039200  # 10 January 2026
BASE = "tiny-base"


@dataclass
class Archive:
    """The archive as its maintainer sees it; ``publish`` writes and signs the indexes."""

    folder: Path
    signer: Signer
    server: FakeServer
    date: int = DATE
    valid_days: int = 0
    stanzas: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, version: str = "1", *, depends: str = "", postinst: str = "") -> None:
        """Have a package with a file that names its version, in place of an older one."""
        tree = self.folder / "making" / name
        place = tree / "usr/share" / name
        place.mkdir(parents=True)
        (place / "version").write_text(f"{version}\n")
        self.build(tree, name, version, depends=depends, postinst=postinst)

    def build(
        self, tree: Path, name: str, version: str, *, depends: str = "", postinst: str = "",
        extra: str = "",
    ) -> None:  # fmt: skip
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
            f"Maintainer: A <a@b.example>\n"
            f"{f'Depends: {depends}' + chr(10) if depends else ''}{extra}Description: {name}\n"
        )
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(control)
        if postinst:
            (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh -e\n{postinst}\n")
            (tree / "DEBIAN/postinst").chmod(0o755)
        path = self.folder / f"{name}_{version}_amd64.deb"
        subprocess.run(
            ["dpkg-deb", "-Zxz", "-z1", "--root-owner-group", "--build", tree, path],
            env={"SOURCE_DATE_EPOCH": str(DATE - 1000), "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
        shutil.rmtree(tree)
        data = path.read_bytes()
        self.stanzas[name] = (
            f"{control}Filename: {path.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )

    def publish(self) -> None:
        """Write indexes of all packages, and sign them."""
        index = "\n".join(self.stanzas.values()).encode()
        place = self.folder / "dists/sid/main/binary-amd64"
        place.mkdir(parents=True, exist_ok=True)
        (place / "Packages.gz").write_bytes(gzip.compress(index, mtime=0))
        lines = [
            f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-amd64/{name}"
            for name, data in (
                ("Packages", index), ("Packages.gz", (place / "Packages.gz").read_bytes()),
            )
        ]  # fmt: skip
        fields = [
            "Origin: Tiny", "Label: Tiny", "Suite: sid", "Codename: sid",
            f"Date: {formatdate(self.date, usegmt=True)}",
            "Architectures: amd64", "Components: main", "SHA256:", *lines,
        ]  # fmt: skip
        if self.valid_days:
            until = formatdate(self.date + 86400 * self.valid_days, usegmt=True)
            fields.insert(5, f"Valid-Until: {until}")
        text = "".join(f"{line}\n" for line in fields).encode()
        signed = self.signer.keyring.sign(text, self.signer.fingerprint, clear=True)
        release = self.folder / "dists/sid/InRelease"
        release.write_bytes(signed)
        os.utime(release, (self.date, self.date))  # what a server takes for its Last-Modified


def add_base(archive: Archive) -> None:
    """Add what every Debian has: a shell, dpkg, and what dpkg wants; and an empty apt."""
    tree = archive.folder / "making" / BASE
    for name in ("usr/bin", "bin", "usr/sbin", "etc", "tmp", "proc", "sys", "var/log"):
        (tree / name).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/os-release").write_text("ID=tiny\nVERSION_ID=1\n")
    (tree / "etc/shadow").write_text("root:*:12345:0:99999:7:::\n")
    (tree / "etc/shadow").chmod(0o640)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program
        shutil.copy(program, tree / "usr/bin" / name)
        for library in _libraries(program):
            (tree / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, tree / library[1:])
    shutil.copy(tree / "usr/bin/sh", tree / "bin/sh")
    (tree / "sbin").mkdir()
    (tree / "sbin/init").symlink_to("../bin/sh")
    for name in STUBS:
        (tree / "usr/sbin" / name).write_text("#!/bin/sh\n")
        (tree / "usr/sbin" / name).chmod(0o755)
    archive.build(tree, BASE, "1", extra="Essential: yes\nPriority: required\n")
    archive.add("apt")


def _libraries(program: str) -> list[str]:
    said = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [word for line in said.splitlines() for word in line.split() if word.startswith("/")]


def point_apt_there(
    monkeypatch: pytest.MonkeyPatch, where: Path, archive: Archive, keys: bytes
) -> None:
    """Let this host's apt say that the archive is its own, and that it trusts ``keys``."""
    trusted = where / "trusted"
    trusted.mkdir(exist_ok=True)
    (trusted / "tiny.asc").write_bytes(keys)
    targets = f"echo 'Debian|Debian|main|{archive.server.url}'"
    fake_program(
        monkeypatch,
        where,
        "apt-get",
        f'case $1 in indextargets) {targets};; *) exec /usr/bin/apt-get "$@";; esac',
    )
    parts = f"echo \"PARTS='{trusted}/'\""
    fake_program(
        monkeypatch,
        where,
        "apt-config",
        f'case $2 in PARTS) {parts};; O0) ;; *) exec /usr/bin/apt-config "$@";; esac',
    )
