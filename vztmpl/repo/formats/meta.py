"""Small archives of metadata: a few texts as a tar.xz with the times of the build."""

import lzma
import tarfile
from collections.abc import Mapping
from io import BytesIO


def tar_xz(texts: Mapping[str, str], epoch: int) -> bytes:
    """Pack texts by name, in the order of the names."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in sorted(texts.items()):
            content = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o644, epoch
            tar.addfile(member, BytesIO(content))
    return lzma.compress(packed.getvalue(), preset=6)
