"""OpenPGP through python-gnupg: a keyring of our own to sign, given public keys to verify.

The user's ``~/.gnupg`` is never touched. Signing and verifying work on small texts (manifests,
indexes), which is also why python-gnupg's trouble with large files given by path can't bite.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import gnupg

from vztmpl.errors import NotFoundError, VerificationError, VztmplError
from vztmpl.files import locked
from vztmpl.run import run

_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_AGENT_SECONDS = 5
_MAX_HOME_BYTES = 86
_BAD_NAME = re.compile(r"[<>\n\x00]|^\W|^.{0,4}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of our keyring."""

    fingerprint: str
    user_id: str
    secret: bool
    """Whether we can sign with it."""


class Keyring:
    """A gpg home folder of our own; its agent lives only as long as a call needs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def generate(self, name: str, email: str) -> str:
        """Make an Ed25519 signing key without a passphrase; return its fingerprint."""
        if _BAD_NAME.search(name) or "@" not in email or _BAD_NAME.search(email):
            raise VztmplError(
                f"no key can be made for {name!r} <{email}>",
                hint="--name wants at least 5 letters, --email an address",
            )
        with self._gpg() as gpg:
            wanted = gpg.gen_key_input(
                key_type="EDDSA", key_curve="ed25519", key_usage="sign",
                name_real=name, name_email=email, no_protection=True, expire_date="0",
            )  # fmt: skip
            made = gpg.gen_key(wanted)
            if not made.fingerprint:
                raise _failed("gpg made no key", made.stderr)
            return str(made.fingerprint)

    def keys(self) -> list[Key]:
        """Return all keys, those that can sign first."""
        with self._gpg() as gpg:
            secret = {key["fingerprint"] for key in gpg.list_keys(secret=True)}
            keys = [
                Key(
                    fingerprint=key["fingerprint"],
                    user_id=key["uids"][0] if key["uids"] else "",
                    secret=key["fingerprint"] in secret,
                )
                for key in gpg.list_keys()
            ]
        return sorted(keys, key=lambda key: (not key.secret, key.user_id))

    def signing_key(self, wanted: str = "") -> str:
        """Return the fingerprint to sign with: the wanted one, or the only one there is."""
        ours = [key for key in self.keys() if key.secret]
        if wanted:
            ours = [key for key in ours if _means(wanted, key)]
        if len(ours) == 1:
            return ours[0].fingerprint
        if not ours:
            what = f"no secret key {wanted}" if wanted else "no key to sign with"
            hint = "`vztmpl key generate --name NAME --email ADDRESS` makes one"
            raise NotFoundError(f"{what} in {self._folder}", hint=hint)
        raise NotFoundError(
            f"{len(ours)} keys could sign",
            hint="name one with --sign: `vztmpl key list` shows them",
        )

    def find(self, wanted: str) -> Key:
        """Return the first key that a fingerprint, its end, or a part of a user id means."""
        for key in self.keys():
            if _means(wanted, key):
                return key
        hint = "`vztmpl key list` shows those there are"
        raise NotFoundError(f"no key {wanted} in {self._folder}", hint=hint)

    def export(self, wanted: str) -> str:
        """Return a public key, armoured."""
        key = self.find(wanted)
        with self._gpg() as gpg:
            return str(gpg.export_keys(key.fingerprint))

    def public_keys(self) -> dict[str, str]:
        """Return all public keys, armoured, by fingerprint."""
        with self._gpg() as gpg:
            known = [key["fingerprint"] for key in gpg.list_keys()]
            return {fingerprint: str(gpg.export_keys(fingerprint)) for fingerprint in known}

    def import_keys(self, armoured: bytes) -> list[str]:
        """Take in public or secret keys; return their fingerprints."""
        with self._gpg() as gpg:
            result = gpg.import_keys(armoured)
            if not result.fingerprints:
                raise _failed("that is not an OpenPGP key", result.stderr)
            return list(dict.fromkeys(result.fingerprints))

    def sign(self, data: bytes | IO[bytes], fingerprint: str, *, clear: bool = False) -> bytes:
        """Return a detached armoured signature of a text or a file, or the clear-signed text."""
        stream = BytesIO(data) if isinstance(data, bytes) else data
        return self._signed(stream, fingerprint, detach=not clear, clearsign=clear)

    def sign_message(self, text: bytes, fingerprint: str) -> bytes:
        """Return a binary OpenPGP message that holds a text and its signature."""
        return self._signed(BytesIO(text), fingerprint, clearsign=False, binary=True)

    def _signed(self, stream: IO[bytes], fingerprint: str, **how: bool) -> bytes:
        with self._gpg() as gpg:
            exactly = ["--local-user", fingerprint]  # keyid= would fall back to another key
            signed = gpg.sign_file(stream, extra_args=exactly, **how)
            if not (signed.data and signed.fingerprint):  # data alone may be cut short
                raise _failed(f"gpg did not sign with {fingerprint}", signed.stderr)
            return bytes(signed.data)

    @contextmanager
    def _gpg(self) -> Iterator[gnupg.GPG]:
        """Yield gpg on this folder; one at a time, and no agent stays behind."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self._folder / "vztmpl.lock", wait=True), _short(self._folder) as home:
            try:
                yield _gpg(home)
            finally:
                _end_agent(home)


def fingerprints(public_keys: bytes) -> list[str]:
    """Return the fingerprints in a file of public keys; VztmplError when it holds none."""
    with _trusting(public_keys) as (_, found):
        return sorted(found)


def verify_detached(data: bytes | Path, signature: bytes, public_keys: bytes, what: object) -> str:
    """Check a detached signature of some bytes or a file; return the signer's fingerprint.

    VerificationError unless one of ``public_keys`` made it and still may.
    """
    with _trusting(public_keys) as (gpg, trusted), tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        if isinstance(data, Path):
            file.seek(0)
            result = gpg.verify_file(file, data_filename=str(data), close_file=False)
        else:
            result = gpg.verify_data(file.name, data)
        return _signer(result, trusted, what)


def verify_file(path: Path, signature: Path, public_keys: bytes, what: object) -> str:
    """Check a detached signature over a file of any size; return the signer's fingerprint."""
    with _trusting(public_keys) as (gpg, trusted):
        return _signer(gpg.verify_file(str(signature), str(path)), trusted, what)


def verify_clear(signed: bytes, public_keys: bytes, what: object) -> tuple[bytes, str]:
    """Check a clear-signed text; return what was signed, and the signer's fingerprint.

    Only what gpg itself says was covered by the signature is returned.
    """
    with _trusting(public_keys) as (gpg, trusted):
        result = gpg.decrypt(signed)
        return bytes(result.data), _signer(result, trusted, what)


@contextmanager
def _trusting(public_keys: bytes) -> Iterator[tuple[gnupg.GPG, set[str]]]:
    """Yield a gpg that knows just these keys, and their fingerprints."""
    with tempfile.TemporaryDirectory(prefix="vztmpl-") as folder:
        gpg = _gpg(Path(folder), "--no-autostart")
        found = set(gpg.import_keys(public_keys).fingerprints)
        if not found:
            raise VztmplError(
                "that is not an OpenPGP public key", hint="`vztmpl key export` makes one"
            )
        yield gpg, found


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """Yield a name for a folder that leaves room for the agent's sockets (unix(7): 108 bytes)."""
    if len(bytes(folder)) <= _MAX_HOME_BYTES:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="vztmpl-") as near:
        link = Path(near) / "keys"
        link.symlink_to(folder.absolute())
        yield link


def _end_agent(home: Path) -> None:
    """End the agent and see it gone: the next gpg would connect to one that is just leaving."""
    run(["gpgconf", "--homedir", home, "--kill", "all"])
    socket = Path(run(["gpgconf", "--homedir", home, "--list-dirs", "agent-socket"]).strip())
    until = monotonic() + _AGENT_SECONDS
    while socket.exists() and monotonic() < until:
        sleep(0.005)


def _signer(result: gnupg.Verify | gnupg.Crypt, trusted: set[str], what: object) -> str:
    signer = result.pubkey_fingerprint or result.fingerprint
    if not result.valid or signer not in trusted:
        reason = result.key_status or result.status or "no signature"
        raise VerificationError(
            f"{what}: no valid signature by a trusted key ({reason})",
            hint="the file or its signature was altered, or another key made it",
        )
    return str(signer)


def _gpg(folder: Path, *options: str) -> gnupg.GPG:
    try:
        return gnupg.GPG(gnupghome=str(folder), options=["--no-options", *options])
    except OSError as error:
        raise VztmplError("gpg is not installed", hint="apt-get install gpg gpg-agent") from error


def _means(wanted: str, key: Key) -> bool:
    text = wanted.upper().replace(" ", "").removeprefix("0X")
    if _FINGERPRINT.fullmatch(text):
        return text == key.fingerprint
    return bool(text) and (key.fingerprint.endswith(text) or wanted in key.user_id)


def _failed(what: str, said: str) -> VztmplError:
    lines = [line for line in said.splitlines() if not line.startswith("[GNUPG:]")]
    return VztmplError(f"{what}: {lines[-1] if lines else 'gpg said nothing'}")
