"""Small signed repositories of every kind, made by each distribution's own tools where it has some.

Each holds a base, which is enough of a system to run scripts in, `hello`, and `unwanted`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

BUILT = 1_768_000_000
VERSION = "1.5-1"
APPLETS = """
cat chmod chown cp cut date echo grep id ln ls mkdir mknod mount rm sed sh sleep
test touch tr true
"""


@dataclass(frozen=True)
class Signing:
    """A gpg home folder with one key, as those who run a repository have it."""

    home: Path
    fingerprint: str

    @classmethod
    def new(cls, home: Path, name: str) -> "Signing":
        home.mkdir(mode=0o700)
        call(
            "gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "",
            "--quick-generate-key", name, "rsa2048", "sign", "never",
        )  # fmt: skip
        listed = call("gpg", "--homedir", home, "--with-colons", "--list-keys")
        line = next(line for line in listed.splitlines() if line.startswith("fpr:"))
        return cls(home, line.split(":")[9])

    @property
    def public_key(self) -> str:
        return call("gpg", "--homedir", self.home, "--armor", "--export", self.fingerprint)

    def detached(self, file: Path, *, armoured: bool = True) -> Path:
        signature = file.with_name(f"{file.name}.{'asc' if armoured else 'sig'}")
        armour = ["--armor"] if armoured else []
        call("gpg", "--homedir", self.home, "--batch", "--yes", *armour, "--output", signature,
             "--detach-sign", file)  # fmt: skip
        return signature

    def end(self) -> None:
        call("gpgconf", "--homedir", self.home, "--kill", "all")


def call(*words: object, cwd: Path | None = None, **env: object) -> str:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **{k: str(v) for k, v in env.items()}}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def small_system(tree: Path) -> None:
    """Make a system of one static program with many names."""
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "tmp").mkdir()
    (tree / "bin").symlink_to("usr/bin")
    shutil.copy("/bin/busybox", tree / "usr/bin/busybox")
    for applet in APPLETS.split():
        (tree / "usr/bin" / applet).symlink_to("busybox")
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")


def said_by(name: str, tree: Path) -> None:
    """Fill the tree of a package that does nothing but be there."""
    (tree / "usr/share").mkdir(parents=True)
    (tree / f"usr/share/{name}").write_text(f"{name} was here\n")


# Arch's kind


def arch(folder: Path, signing: Signing, work: Path) -> None:
    """Make a repository called `one`: packages by tar, the index by repo-add, all signed."""
    folder.mkdir(parents=True)
    small_system(work / "base")
    for name in ("hello", "unwanted"):
        said_by(name, work / name)
    files = []
    for name in ("base", "hello", "unwanted"):
        (work / name / ".PKGINFO").write_text(
            f"pkgname = {name}\npkgbase = {name}\npkgver = {VERSION}\npkgdesc = {name}\n"
            f"builddate = {BUILT}\nsize = 1\narch = x86_64\n"
            + ("depend = base\n" if name != "base" else "")
        )
        files.append(folder / f"{name}-{VERSION}-x86_64.pkg.tar.gz")
        contents = sorted(path.name for path in (work / name).iterdir())
        call("tar", "--owner=0", "--group=0", "-czf", files[-1], *contents, cwd=work / name)
        signing.detached(files[-1], armoured=False)
    add = ["repo-add", "--quiet", "--sign", "--key", signing.fingerprint]
    call(*add, folder / "one.db.tar.gz", *files, GNUPGHOME=signing.home)


# The kind of Fedora and openSUSE

_SPEC = """
Name: {name}
Version: 1.5
Release: 1
Summary: {name}
License: none
BuildArch: x86_64
AutoReqProv: no
{requires}
%description
{name}
%install
cp -a {tree}/. %{{buildroot}}/
%files
/*
"""


def rpms(folder: Path, signing: Signing, work: Path) -> None:
    """Make a repository with rpmbuild, rpmsign and createrepo_c."""
    folder.mkdir(parents=True)
    small_system(work / "base")
    for name in ("hello", "unwanted"):
        said_by(name, work / name)
    for name in ("base", "hello", "unwanted"):
        spec = work / f"{name}.spec"
        requires = "Requires: base" if name != "base" else ""
        spec.write_text(_SPEC.format(name=name, tree=work / name, requires=requires))
        defines = [
            f"_topdir {work}/rpm", f"_rpmdir {folder}", "_build_id_links none",
            "use_source_date_epoch_as_buildtime 1", "_buildhost test",
            "__os_install_post %{nil}",
        ]  # fmt: skip
        options = [word for define in defines for word in ("--define", define)]
        call("rpmbuild", "-bb", *options, spec, SOURCE_DATE_EPOCH=BUILT, HOME=work)
    sign = ["rpmsign", "--addsign", "--define", f"_gpg_name {signing.fingerprint}"]
    files = sorted(folder.rglob("*.rpm"))
    call(*sign, "--define", "__gpg /usr/bin/gpg", *files, GNUPGHOME=signing.home, HOME=work)
    call("createrepo_c", "--quiet", folder)
    signing.detached(folder / "repodata/repomd.xml")
    (folder / "repodata/repomd.xml.key").write_text(signing.public_key)


# Whole file systems

_APK = """#!/bin/sh
# Stands in for apk, which is in no archive that can be reached: it knows hello and unwanted.
case $1 in
add) shift; for p; do case $p in
  --*) ;;
  hello|unwanted) echo "$p was here" >/usr/share/$p
    printf 'P:%s\\nV:1.5-1\\nt:1768000000\\n\\n' "$p" >>/lib/apk/db/installed ;;
  *) echo "ERROR: unable to select packages: $p (no such package)"; exit 1 ;;
  esac; done ;;
del) shift; for p; do case $p in
  --*) ;;
  *) rm /usr/share/$p; sed -i "/^P:$p\\$/,/^\\$/d" /lib/apk/db/installed ;;
  esac; done ;;
esac
"""


def rootfs(folder: Path, signing: Signing, work: Path) -> Path:
    """Make a signed tarball of a system like Alpine's, with a stand-in for apk."""
    folder.mkdir(parents=True)
    tree = work / "tree"
    small_system(tree)
    (tree / "usr/share").mkdir(parents=True)
    (tree / "lib/apk/db").mkdir(parents=True)
    (tree / "lib/apk/db/installed").write_text(f"P:base\nV:{VERSION}\nt:{BUILT}\n\n")
    (tree / "usr/bin/apk").write_text(_APK)
    (tree / "usr/bin/apk").chmod(0o755)
    file = folder / "rootfs.tar.gz"
    call("tar", "--owner=0", "--group=0", f"--mtime=@{BUILT}", "-czf", file, "-C", tree, ".")
    signing.detached(file)
    return file


def oci(folder: Path, work: Path) -> str:
    """Make an OCI layout of two layers, the upper one with whiteouts; return the digest."""
    small_system(work / "low")
    said_by("hidden", work / "low")
    (work / "low/opt/old").mkdir(parents=True)
    (work / "low/opt/old/file").write_text("old\n")
    said_by(".wh.hidden", work / "high")
    said_by("hello", work / "high/again")
    (work / "high/again/usr/share/hello").rename(work / "high/usr/share/hello")
    shutil.rmtree(work / "high/again")
    (work / "high/opt/old").mkdir(parents=True)
    (work / "high/opt/old/.wh..wh..opq").touch()
    (work / "high/opt/old/new").write_text("new\n")
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    layers = [_layer(work / name, work / f"{name}.tar", blobs) for name in ("low", "high")]
    config = {
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(json.dumps(config).encode(), "config.v1+json", blobs),
        "layers": layers,
    }
    described = _blob(json.dumps(manifest).encode(), "manifest.v1+json", blobs)
    described["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(described["digest"]).removeprefix("sha256:")


def _layer(tree: Path, file: Path, blobs: Path) -> dict[str, object]:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(tree, ".", filter=_by_root)
    return _blob(file.read_bytes(), "layer.v1.tar", blobs)


def _by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.mtime = BUILT
    return member


def _blob(data: bytes, kind: str, blobs: Path) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": f"sha256:{digest}",
        "size": len(data),
    }
