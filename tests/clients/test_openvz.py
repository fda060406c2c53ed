"""vzctl's vztmpl-dl, which Debian does not have: the same steps by the same programs."""

from pathlib import Path

import pytest

from tests.clients.conftest import NAME, NEW, Published, facts, run
from tests.fakes import Signer

pytestmark = pytest.mark.root


def test_a_template_is_listed_downloaded_verified_and_unpacked(
    published: Published, tmp_path: Path, publisher: Signer
) -> None:
    url, cache = f"{published.http.url}/openvz", tmp_path / "cache"
    assert run("wget", "-q", "-O", "-", f"{url}/.listing") == f"{NAME}\n"
    run("wget", "-q", "--spider", f"{url}/{NAME}.tar.gz")
    run("wget", "-q", "-P", cache, "-N", f"{url}/{NAME}.tar.gz")
    run("wget", "-q", "-P", tmp_path, f"{url}/{NAME}.tar.gz.asc")

    (tmp_path / "key.asc").write_bytes(publisher.public_key)
    (tmp_path / "gpg").mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", tmp_path / "gpg", "--batch", "--no-autostart")
    run(*gpg, "--import", tmp_path / "key.asc")
    assert publisher.fingerprint in run(*gpg, "-k", "templates@example.org")
    said = run(*gpg, "--verify", tmp_path / f"{NAME}.tar.gz.asc", cache / f"{NAME}.tar.gz")
    assert "Good signature" in said

    tree = tmp_path / "tree"
    tree.mkdir()
    run("tar", "--numeric-owner", "-Sp", "-xzf", cache / f"{NAME}.tar.gz", "-C", tree)
    assert facts(tree) == published.system
    assert (tree / "etc/serial").read_text() == f"{NEW}\n"
