"""systemd: what ``machinectl pull-tar``, ``importctl`` and systemd-sysupdate read.

The rules are those of systemd's src/import/pull-common.c: a sha256 and a detached signature over
the list of them stand beside the file; settings for systemd-nspawn too, and they must be listed.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.outputs import File, Link, Output

FOLDER = "systemd"
_NSPAWN = b"[Exec]\nBoot=yes\nPrivateUsers=pick\n"


def file_name(build: Build) -> str:
    """Name a build's file without suffix; systemd-sysupdate finds versions by its last part."""
    return f"{build.name}_{build.serial}"


def _outputs(builds: Sequence[Build]) -> Iterator[Output]:
    sums = []
    for build in builds:
        xz, name = build.image(Form.XZ), file_name(build)
        digest = build.facts[xz].sha256
        sums += [(f"{name}.tar.xz", digest), (f"{name}.nspawn", sha256(_NSPAWN).hexdigest())]
        yield Link(path=f"{FOLDER}/{name}.tar.xz", to=xz, sha256=digest)
        yield File(path=f"{FOLDER}/{name}.nspawn", content=_NSPAWN)
    yield File(
        path=f"{FOLDER}/SHA256SUMS",
        content="".join(f"{digest}  {name}\n" for name, digest in sums).encode(),
        signature=f"{FOLDER}/SHA256SUMS.gpg",
    )


MAKER = Maker(forms=(Form.XZ,), outputs=_outputs)
