"""systemd-pull, which is what ``machinectl pull-tar`` and ``importctl`` run."""

import shutil
from pathlib import Path

import gnupg
import pytest

from tests.clients.conftest import NAME, NEW, OLD, Published, capabilities, facts, privately, run
from tests.fakes import Signer, alters

pytestmark = pytest.mark.root
PULL = "/lib/systemd/systemd-pull"


@pytest.fixture
def etc(tmp_path: Path, publisher: Signer) -> Path:
    """An /etc/systemd that trusts the publisher alone."""
    folder = tmp_path / "etc"
    folder.mkdir()
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = gnupg.GPG(gnupghome=str(home), options=["--no-autostart"])
    gpg.import_keys(publisher.public_key)
    (folder / "import-pubring.gpg").write_bytes(gpg.export_keys(publisher.fingerprint, armor=False))
    return folder


def pull(etc: Path, images: Path, url: str, *, check: bool = True) -> str:
    images.mkdir(exist_ok=True)
    bind = f'mount --bind {etc} /etc/systemd && exec "$@"'
    words = (PULL, "tar", "--verify=signature", f"--image-root={images}", url, "box")
    try:
        return run(*privately("sh", "-c", bind, "sh", *words), check=check)
    finally:
        for pristine in images.glob(".tar-*"):
            run("chattr", "-i", pristine)


@pytest.mark.parametrize("serial", [OLD, NEW])
def test_a_template_is_pulled_with_its_settings_and_the_signature_is_good(
    published: Published, tmp_path: Path, etc: Path, serial: str
) -> None:
    url = f"{published.http.url}/systemd/{NAME}_{serial}.tar.xz"
    said = pull(etc, tmp_path / "images", url)
    assert "Signature verification succeeded" in said
    tree = tmp_path / "images/box"
    assert (tree / "etc/serial").read_text() == f"{serial}\n"
    assert "Boot=yes" in (tmp_path / "images/box.nspawn").read_text()
    if serial == NEW:
        assert facts(tree) == published.system
        assert capabilities(tree)


def test_a_list_that_was_altered_is_refused(
    published: Published, tmp_path: Path, etc: Path
) -> None:
    published.http.faults["SHA256SUMS"] = alters
    try:
        url = f"{published.http.url}/systemd/{NAME}_{NEW}.tar.xz"
        said = pull(etc, tmp_path / "images", url, check=False)
    finally:
        published.http.faults.clear()
    assert "DOWNLOAD INVALID" in said
    assert not (tmp_path / "images/box").exists()


def test_another_key_is_refused(
    published: Published, tmp_path: Path, etc: Path, stranger: Signer
) -> None:
    (etc / "import-pubring.gpg").unlink()
    (tmp_path / "gpg2").mkdir(mode=0o700)
    gpg = gnupg.GPG(gnupghome=str(tmp_path / "gpg2"), options=["--no-autostart"])
    gpg.import_keys(stranger.public_key)
    (etc / "import-pubring.gpg").write_bytes(gpg.export_keys(stranger.fingerprint, armor=False))
    url = f"{published.http.url}/systemd/{NAME}_{NEW}.tar.xz"
    assert "DOWNLOAD INVALID" in pull(etc, tmp_path / "images", url, check=False)
    shutil.rmtree(tmp_path / "images")
