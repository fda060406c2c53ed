"""Keys that are no good any more, made with gpg itself."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class BadKey:
    public_key: bytes
    signed: bytes
    problem: str


def expired_key(home: Path, text: bytes) -> BadKey:
    """Sign in 2020 with a key that lived for a day."""
    then = ("--faked-system-time", "20200101T000000!")
    _gpg(home, *then, "--quick-generate-key", "Bad Key <bad@example.org>", "ed25519", "sign", "1d")
    signed = _gpg(home, *then, "--clearsign", text=text)
    return _bad(home, signed, "signing key has expired")


def revoked(home: Path, text: bytes) -> BadKey:
    """Sign, and take the key back afterwards."""
    _gpg(home, "--quick-generate-key", "Bad Key <bad@example.org>", "ed25519", "sign", "0")
    signed = _gpg(home, "--clearsign", text=text)
    (certificate,) = (home / "openpgp-revocs.d").iterdir()
    revocation = certificate.read_text().replace(":-----BEGIN", "-----BEGIN")
    _gpg(home, "--import", text=revocation.encode())
    return _bad(home, signed, "signing key was revoked")


def _bad(home: Path, signed: bytes, problem: str) -> BadKey:
    public_key = _gpg(home, "--armor", "--export")
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
    return BadKey(public_key, signed, problem)


def _gpg(home: Path, *words: str, text: bytes = b"") -> bytes:
    home.mkdir(mode=0o700, exist_ok=True)
    quietly: list[str | Path] = [
        "--homedir",
        home,
        "--batch",
        "--quiet",
        "--pinentry-mode",
        "loopback",
    ]
    done = subprocess.run(
        ["gpg", *quietly, "--passphrase", "", *words], input=text, capture_output=True, check=True
    )
    return done.stdout
