"""LXC: what the templates ``download`` and ``local`` of lxc-create read.

The formats are those of lxc's templates/lxc-download.in, compatibility level 7. Neither checks a
signature: ``download`` trusts https alone.
"""

from collections.abc import Iterator, Sequence

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.meta import tar_xz
from vztmpl.repo.formats.outputs import File, Output

_META = "meta.tar.xz"
_COMMON = "lxc.include = LXC_TEMPLATE_CONFIG/common.conf\n"
_USERNS = "lxc.include = LXC_TEMPLATE_CONFIG/userns.conf\n"


def _meta(build: Build) -> bytes:
    arch = f"lxc.arch = {build.arch.kernel}\n"
    texts = {
        "build_id": f"{build.serial}\n",
        "config": _COMMON + arch,
        "config-user": _COMMON + _USERNS + arch,
        "create-message": f"{build.title}, built {build.built:%Y-%m-%d}\n",
        # At once: a cached one is used again when the index still names its build.
        "expiry": f"{int(build.built.timestamp())}\n",
    }
    return tar_xz(texts, build.manifest.epoch)


def _outputs(builds: Sequence[Build]) -> Iterator[Output]:
    lines = [
        f"{build.name.os};{build.name.version};{build.arch.debian};{build.variant};"
        f"{build.serial};/{build.images}/\n"
        for build in builds
        if build.newest
    ]
    for mode in ("system", "user"):
        yield File(path=f"meta/1.0/index-{mode}", content="".join(lines).encode())


MAKER = Maker(forms=(Form.XZ,), parts={_META: _meta}, outputs=_outputs)
