"""Real Debian, built twice under settings that have nothing in common."""

from pathlib import Path

import pytest

from tests.integration.conftest import call

pytestmark = [pytest.mark.root, pytest.mark.network]

ODD = {
    "TZ": "Asia/Tokyo",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
    "HOME": "/nowhere",
    "USER": "someone",
    "TMPDIR": "/var/tmp",
    "DEBIAN_FRONTEND": "readline",
}


def test_debian_is_the_same_bit_by_bit_wherever_it_is_built(
    templates: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "another/node/etc/vz/vz.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text('BUILD_TMPFS="no"\n')
    elsewhere = 'hostname elsewhere; umask 077; cd /; exec taskset 1 "$@"'
    again = call(
        "unshare", "--uts", "--", "sh", "-euc", elsewhere, "sh",
        "vztmpl", "rebuild", templates / "debian-12-x86_64-minimal.tar.zst",
        env={**ODD, "VZ_SYSROOT": str(tmp_path / "another/node")},
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "is identical when built again" in again.stdout
