"""A small signed Debian archive, whose base system is the host's own dpkg and apt."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from email.utils import formatdate
from pathlib import Path

from tests.build.repositories import BUILT, VERSION, Signing, call, said_by

_DEBIAN_PROGRAMS = """
apt-config apt-get apt-key base64 basename cat chmod chown cmp cp cut dash diff dirname dpkg
dpkg-deb dpkg-query dpkg-split dpkg-trigger env find gpgv grep head id ldconfig ln ls mawk mkdir
mktemp mount mv readlink rm sed sort start-stop-daemon tail tar touch tr true umount uname wc
"""
_DEBIAN_OTHERS = "base-passwd dpkg libc6 perl-base mawk debconf apt"
_DEBIAN_FOLDERS = """
dev etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/sources.list.d etc/apt/trusted.gpg.d
etc/dpkg/dpkg.cfg.d proc root sys tmp usr/share/dpkg var/cache/apt/archives/partial var/lib/dpkg
var/lib/apt/lists/partial var/log/apt
"""
_METHODS = "/usr/lib/apt/methods"
_TRANSPORTS = ("copy", "file", "gpgv", "http", "store")


def debian(folder: Path, signing: Signing, work: Path) -> None:
    """Make an archive of the suite `one`, whose base is the host's own dpkg and apt."""
    pool = folder / "pool"
    pool.mkdir(parents=True)
    _host_system(work / "base-files/tree")
    paragraphs = [_deb("base-files", pool, work, essential=True)]
    for name in _DEBIAN_OTHERS.split():
        (work / name / "tree").mkdir(parents=True)
        paragraphs.append(_deb(name, pool, work, essential=True))
    for name in ("hello", "unwanted"):
        said_by(name, work / name / "tree")
        paragraphs.append(_deb(name, pool, work))
    arch = folder / "dists/one/main/binary-amd64"
    arch.mkdir(parents=True)
    packages = "\n".join(paragraphs).encode()
    (arch / "Packages").write_bytes(packages)
    release = (
        f"Origin: Test\nSuite: one\nCodename: one\nComponents: main\nArchitectures: amd64\n"
        f"SHA256:\n"
        f" {hashlib.sha256(packages).hexdigest()} {len(packages)} main/binary-amd64/Packages\n"
        f"Date: {formatdate(BUILT, usegmt=True)}\n"
    )
    (folder / "dists/one/Release").write_text(release)
    gpg = ["gpg", "--homedir", signing.home, "--batch"]
    call(
        *gpg,
        "--output",
        folder / "dists/one/InRelease",
        "--clearsign",
        folder / "dists/one/Release",
    )
    signing.detached(folder / "dists/one/Release").rename(folder / "dists/one/Release.gpg")


def _deb(name: str, pool: Path, work: Path, *, essential: bool = False) -> str:
    control = (
        f"Package: {name}\nVersion: {VERSION}\nArchitecture: amd64\nMaintainer: T <t@example.org>\n"
        + ("Essential: yes\nPriority: required\n" if essential else "Priority: optional\n")
        + f"Description: {name}\n"
    )
    tree, file = work / name / "tree", pool / f"{name}_{VERSION}_amd64.deb"
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(control)
    call(
        "dpkg-deb",
        "-Zgzip",
        "-z1",
        "--root-owner-group",
        "--build",
        tree,
        file,
        SOURCE_DATE_EPOCH=BUILT,
    )
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    return f"{control}Filename: pool/{file.name}\nSize: {len(data)}\nSHA256: {digest}\n"


def _host_system(tree: Path) -> None:
    (tree / "usr").mkdir(parents=True)
    (tree / "usr/bin").mkdir()
    (tree / "bin").symlink_to("usr/bin")
    add_programs(tree, [*_DEBIAN_PROGRAMS.split(), *(f"{_METHODS}/{name}" for name in _TRANSPORTS)])
    (tree / "usr/bin/sh").symlink_to("dash")
    (tree / "usr/bin/awk").symlink_to("mawk")
    for path in _DEBIAN_FOLDERS.split():
        (tree / path).mkdir(parents=True, exist_ok=True)
    for table in ("cputable", "ostable", "tupletable"):
        shutil.copy(f"/usr/share/dpkg/{table}", tree / "usr/share/dpkg")
    (tree / "etc/apt/apt.conf.d/sandbox").write_text('APT::Sandbox::User "root";\n')
    (tree / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\n_apt:x:42:65534::/:/bin/false\n"
    )
    (tree / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (tree / "etc/os-release").write_text("ID=tiny\nVERSION_ID=1\n")
    (tree / "usr/sbin/init").symlink_to("../bin/sh")
    for folder, mode in (("root", 0o700), ("tmp", 0o1777)):
        (tree / folder).mkdir(exist_ok=True)
        (tree / folder).chmod(mode)


def add_programs(tree: Path, names: Iterable[str]) -> None:
    """Copy programs of the host's into a tree, with the libraries that they are linked with."""
    for link in ("sbin", "lib", "lib64"):
        (tree / "usr" / link).mkdir(exist_ok=True)
        (tree / link).symlink_to(f"usr/{link}")
    programs = [shutil.which(name) or name for name in names]
    _copy([*programs, *_libraries(programs)], tree)


def _libraries(programs: Iterable[str]) -> set[str]:
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    words = (word for line in said.splitlines() for word in line.split())
    return {word for word in words if word.startswith("/") and not word.endswith(":")}


def _copy(paths: Iterable[str], tree: Path) -> None:
    for path in {*paths}:
        real = path if path.startswith("/usr/") else f"/usr{path}"
        target = tree / real[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
