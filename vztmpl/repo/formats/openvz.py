"""OpenVZ: one folder for ``vztmpl-dl`` of vzctl 4, as TEMPLATE_REPOS in its download.conf.

It asks for ``.listing``, ``NAME.tar.gz`` and ``NAME.tar.gz.asc``.
"""

from collections.abc import Iterator, Sequence

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.outputs import File, Link, Output

FOLDER = "openvz"


def _outputs(builds: Sequence[Build]) -> Iterator[Output]:
    newest = [build for build in builds if build.newest]
    for build in newest:
        source, path = build.image(Form.GZIP), f"{FOLDER}/{build.name}.tar.gz"
        digest = build.facts[source].sha256
        yield Link(path=path, to=source, sha256=digest, signature=f"{path}.asc")
    names = "".join(f"{build.name}\n" for build in newest)
    yield File(path=f"{FOLDER}/.listing", content=names.encode())


MAKER = Maker(forms=(Form.GZIP,), outputs=_outputs)
