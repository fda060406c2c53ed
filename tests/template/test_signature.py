import time
from pathlib import Path

import pytest

from tests.fakes import Signer
from vztmpl.errors import NotFoundError, VerificationError, VztmplError
from vztmpl.template.signature import Keyring, fingerprints, verify_clear, verify_detached

TEXT = b'{"a": 1}\n'


def agents(folder: Path) -> list[str]:
    """Return the command lines of all gpg agents that serve a folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if "gpg-agent" in line and str(folder) in line]


def test_a_signature_names_its_signer(publisher: Signer) -> None:
    signature = publisher.keyring.sign(TEXT, publisher.fingerprint)
    signer = verify_detached(TEXT, signature, publisher.public_key, "x")
    assert signer == publisher.fingerprint


def test_a_clear_signed_text_comes_back_as_it_was(publisher: Signer) -> None:
    text = b"- dashes\nFrom here\n" + TEXT
    signed = publisher.keyring.sign(text, publisher.fingerprint, clear=True)
    assert verify_clear(signed, publisher.public_key, "x") == (text, publisher.fingerprint)


def test_an_altered_text_is_refused(publisher: Signer) -> None:
    signature = publisher.keyring.sign(TEXT, publisher.fingerprint)
    with pytest.raises(VerificationError, match="signature bad"):
        verify_detached(TEXT + b" ", signature, publisher.public_key, "x")
    signed = publisher.keyring.sign(TEXT, publisher.fingerprint, clear=True)
    with pytest.raises(VerificationError, match="signature bad"):
        verify_clear(signed.replace(b'"a"', b'"b"'), publisher.public_key, "x")


def test_another_key_is_refused(publisher: Signer, stranger: Signer) -> None:
    signature = stranger.keyring.sign(TEXT, stranger.fingerprint)
    with pytest.raises(VerificationError, match="no public key"):
        verify_detached(TEXT, signature, publisher.public_key, "x")


def test_what_is_not_signed_is_refused(publisher: Signer) -> None:
    for nothing in (b"", TEXT):
        with pytest.raises(VerificationError):
            verify_detached(TEXT, nothing, publisher.public_key, "x")
        with pytest.raises(VerificationError):
            verify_clear(nothing, publisher.public_key, "x")


def test_a_signature_does_not_cover_what_stands_around_it(
    publisher: Signer, stranger: Signer
) -> None:
    good = publisher.keyring.sign(TEXT, publisher.fingerprint, clear=True)
    evil = stranger.keyring.sign(b"evil\n", stranger.fingerprint, clear=True)
    assert verify_clear(b"evil\n" + good + b"evil\n", publisher.public_key, "x")[0] == TEXT
    assert verify_clear(good + evil, publisher.public_key, "x")[0] == TEXT
    with pytest.raises(VerificationError):
        verify_clear(evil + good, publisher.public_key, "x")


def test_a_detached_signature_is_not_a_signed_text(publisher: Signer) -> None:
    clear = publisher.keyring.sign(TEXT, publisher.fingerprint, clear=True)
    with pytest.raises(VerificationError):
        verify_detached(b"other", clear, publisher.public_key, "x")


def test_a_revoked_key_is_refused(tmp_path: Path) -> None:
    from vztmpl.run import run

    signer = Signer.new(tmp_path / "keys", "Soon Revoked")
    signature = signer.keyring.sign(TEXT, signer.fingerprint)
    revocation = tmp_path / f"keys/openpgp-revocs.d/{signer.fingerprint}.rev"
    armour = revocation.read_text().replace(":-----BEGIN", "-----BEGIN")
    run(["gpg", "--homedir", tmp_path / "keys", "--batch", "--import"], stdin=armour)
    revoked = signer.keyring.export(signer.fingerprint).encode()
    verify_detached(TEXT, signature, signer.public_key, "x")
    with pytest.raises(VerificationError):
        verify_detached(TEXT, signature, revoked, "x")


def test_keys_that_can_sign_come_first(tmp_path: Path, stranger: Signer) -> None:
    keyring = Keyring(tmp_path / "keys")
    keyring.import_keys(stranger.public_key)
    ours = keyring.generate("Zoe Maintainer", "zoe@example.org")
    keys = keyring.keys()
    assert [key.fingerprint for key in keys] == [ours, stranger.fingerprint]
    assert [key.secret for key in keys] == [True, False]
    assert keyring.signing_key() == ours


def test_a_key_has_to_be_named_when_several_could_sign(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys")
    with pytest.raises(NotFoundError, match="no key to sign with"):
        keyring.signing_key()
    one = keyring.generate("First Maintainer", "one@example.org")
    keyring.generate("Second Maintainer", "two@example.org")
    with pytest.raises(NotFoundError, match="2 keys could sign"):
        keyring.signing_key()
    for word in (one, one[-16:], "one@example.org", f"0x{one}"):
        assert keyring.signing_key(word) == one
    with pytest.raises(NotFoundError, match="no secret key nobody"):
        keyring.signing_key("nobody")


def test_a_name_that_gpg_would_misread_makes_no_key(tmp_path: Path) -> None:
    for name, email in (
        ("Me", "a@example.org"),
        ("Good Name", "no address"),
        ("A\nB: c\n", "a@b.c"),
    ):
        with pytest.raises(VztmplError, match="no key can be made"):
            Keyring(tmp_path / "keys").generate(name, email)


def test_a_file_without_keys_is_refused(tmp_path: Path, publisher: Signer) -> None:
    assert fingerprints(publisher.public_key) == [publisher.fingerprint]
    with pytest.raises(VztmplError, match="not an OpenPGP"):
        fingerprints(b"hello")
    with pytest.raises(VztmplError, match="not an OpenPGP"):
        Keyring(tmp_path / "keys").import_keys(b"hello")


@pytest.mark.parametrize("length", [86, 87, 200])
def test_a_keyring_may_be_far_down(tmp_path: Path, publisher: Signer, length: int) -> None:
    """The path of a socket, which gpg puts there, holds no more than 108 bytes."""
    folder = tmp_path / ("k" * (length - len(str(tmp_path)) - 1))
    signer = Signer.new(folder, "Some Maintainer")
    signature = signer.keyring.sign(TEXT, signer.fingerprint)
    assert verify_detached(TEXT, signature, signer.public_key, "x") == signer.fingerprint
    signer.keyring.import_keys(publisher.public_key)
    assert len(Keyring(folder).keys()) == 2


def test_no_agent_stays_behind(tmp_path: Path) -> None:
    signer = Signer.new(tmp_path / "keys", "Some Maintainer")
    signer.keyring.sign(TEXT, signer.fingerprint)
    until = time.monotonic() + 5
    while agents(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert agents(tmp_path) == []
