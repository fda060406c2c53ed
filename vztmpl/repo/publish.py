"""Publishing: verified templates go into a folder that any web server can serve.

REPO/templates/NAME/SERIAL/     one build (``repo.builds``)
REPO/keys/N.json.asc            who may sign, list by list (``repo.keys``)
REPO/key.asc                    the public keys of now, for those who add a remote
REPO/repository.toml            what its owner wants (``repo.policy``)
REPO/index.json                 the index, for people
REPO/index.json.asc             the same signed, written after every file that it names

What other systems read stands beside it (``repo.formats``).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vztmpl.errors import UsageError, VerificationError, VztmplError, during
from vztmpl.files import locked, public_folder, replacing
from vztmpl.progress import Progress, Silent
from vztmpl.repo import keys
from vztmpl.repo.builds import place, remove_retired, resign, retire
from vztmpl.repo.formats.config import Publishing
from vztmpl.repo.formats.derive import derive
from vztmpl.repo.formats.outputs import SigningKey
from vztmpl.repo.keys import KeyList
from vztmpl.repo.policy import Policy
from vztmpl.repo.verify import Verified, verify
from vztmpl.template import index as indexes
from vztmpl.template.entry import Entry
from vztmpl.template.index import EMPTY, Index
from vztmpl.template.signature import Keyring, fingerprints, verify_clear

KEY_FILE = "key.asc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What publishing came to."""

    entries: Sequence[Entry]
    """Of the builds that were given."""
    dropped: Sequence[Entry]
    """Builds that left the index; their files stay for the time of grace."""
    removed: Sequence[str]
    """Folders that were removed."""


def publish(
    repository: Path,
    archives: Sequence[Path],
    keyring: Keyring,
    fingerprint: str,
    *,
    policy: Policy | None = None,
    publishing: Publishing | None = None,
    progress: Progress | None = None,
    resign_all: bool = False,
) -> Published:
    """Add templates to a repository and sign its index anew; no archives just renew it.

    Without ``publishing`` other systems get what the repository's file says; with it, that is what
    it says from now on. Publishing the same build twice is fine. ``resign_all`` signs anew what a
    key signed that counts no more; whoever says so has looked at it. VerificationError when a
    template is not signed by a key of ``keyring``, or the index that is there is not; then nothing
    was changed.
    """
    policy, progress = policy or Policy(), progress or Silent()
    ours = keyring.public_keys()
    public_keys = "".join(ours.values()).encode()
    with during(f"publishing to {repository}"):
        verified = [verify(archive, public_keys) for archive in archives]
        public_folder(repository)
        with _locked(repository):
            for_whom = publishing or Publishing.load(repository)
            index = read_index(repository, public_keys)
            signers = _signers(repository, index, fingerprint, verified)
            _check_newer(index, verified, policy.keep)
            entries = [
                place(repository, template, index, policy.deltas, progress) for template in verified
            ]
            kept = _newest((*index.entries, *entries), policy.keep)
            if resign_all:
                kept = [_resigned(repository, one, keyring, fingerprint) for one in kept]
            paths = {entry.path for entry in kept}
            dropped = [entry for entry in index.entries if entry.path not in paths]
            retire(repository, dropped)
            if index == EMPTY:
                _write(repository / KEY_FILE, "".join(_chosen(ours, signers).values()))
            index = index.next(
                kept,
                datetime.now(UTC),
                valid=policy.valid,
                keys=signers,
                keys_version=_keys_version(repository),
            )
            if publishing:
                publishing.save(repository)
            key = SigningKey(keyring=keyring, fingerprint=fingerprint)
            derived = derive(repository, index, for_whom, key, progress)
            _write_index(repository, index, keyring, fingerprint)
            derived.remove_others()
            removed = remove_retired(repository, index, policy.grace)
    return Published(entries=entries, dropped=dropped, removed=removed)


def change_keys(
    repository: Path,
    keyring: Keyring,
    fingerprint: str,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
) -> None:
    """Change who may sign, by a new list that ``fingerprint`` signs; sign the index again after.

    A key that is already there is taken anew, with its new date of expiry or its revocation.
    """
    ours = keyring.public_keys()
    added = {keyring.find(wanted).fingerprint for wanted in add}
    removed = {keyring.find(wanted).fingerprint for wanted in remove}
    with during(f"changing the keys of {repository}"), _locked(repository):
        index = read_index(repository, "".join(ours.values()).encode())
        signers = _known_signers(repository)
        _check_known(fingerprint, signers)
        wanted = (signers | added) - removed
        if not wanted:
            raise UsageError("no key would be left", hint="add the new key first")
        version = _keys_version(repository) + 1
        keys_of_now = _chosen(ours, wanted)
        listed = KeyList(version=version, keys=keys_of_now, index_serial=index.serial)
        signed = keyring.sign(listed.to_json(), fingerprint, clear=True)
        public_folder(repository / keys.FOLDER)
        _write(repository / keys.file_name(version), signed)
        _write(repository / KEY_FILE, "".join(keys_of_now.values()))


def read_index(repository: Path, public_keys: bytes) -> Index:
    """Read the index that is there, if any; only one that these keys signed is carried on."""
    path = repository / indexes.FILE
    try:
        with path.open("rb") as file:
            signed = file.read(indexes.MAX_BYTES)
    except FileNotFoundError:
        return EMPTY
    text, _ = verify_clear(signed, public_keys, path)
    return Index.parse(text, path)


def _signers(
    repository: Path, index: Index, fingerprint: str, verified: Iterable[Verified]
) -> set[str]:
    """Return who may sign; the first publisher says so, later ones have to be among them."""
    wanted = {fingerprint, *(template.signer for template in verified)}
    if index == EMPTY:
        return wanted
    known = _known_signers(repository)
    for signer in sorted(wanted):
        _check_known(signer, known)
    return known


def _check_known(fingerprint: str, known: set[str]) -> None:
    if fingerprint not in known:
        raise VerificationError(
            f"{fingerprint} is not a key of this repository: its readers would refuse it",
            hint="`vztmpl repo sign REPO --add-key FPR` lets a key that is sign it in",
        )


def _check_newer(index: Index, verified: Iterable[Verified], keep: int) -> None:
    for template in verified:
        name, serial = template.manifest.name, template.manifest.serial
        serials = sorted({one.serial for one in index.builds(name)} | {serial})
        if serial not in serials[-keep:]:
            raise VztmplError(
                f"{name} {serial} is older than the {keep} builds that are kept",
                hint="raise `keep` in the repository's repository.toml",
            )


def _newest(entries: Iterable[Entry], keep: int) -> list[Entry]:
    """Return the newest builds of each template; of one build the last entry."""
    builds: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        builds.setdefault(entry.name, {})[entry.serial] = entry
    return [of[serial] for of in builds.values() for serial in sorted(of)[-keep:]]


def _chosen(ours: Mapping[str, str], wanted: set[str]) -> dict[str, str]:
    if lacking := wanted - ours.keys():
        hint = "`vztmpl key import` takes it in from the repository's key.asc"
        raise VztmplError(f"key {min(lacking)} is not in the keyring", hint=hint)
    return {name: ours[name] for name in sorted(wanted)}


def _known_signers(repository: Path) -> set[str]:
    path = repository / KEY_FILE
    return set(fingerprints(path.read_bytes())) if path.is_file() else set()


def _resigned(repository: Path, entry: Entry, keyring: Keyring, fingerprint: str) -> Entry:
    """Return the entry of a build that a key of now signed, signing it if none did."""
    trusted = (repository / KEY_FILE).read_bytes()
    try:
        verify(repository / entry.path / entry.archive, trusted)
    except VerificationError:
        return resign(repository, entry, lambda text: keyring.sign(text, fingerprint), fingerprint)
    return entry


def _keys_version(repository: Path) -> int:
    return keys.newest(path.name for path in (repository / keys.FOLDER).glob("*.json.asc"))


def _write_index(repository: Path, index: Index, keyring: Keyring, fingerprint: str) -> None:
    text = index.to_json()
    signed = keyring.sign(text, fingerprint, clear=True)
    _write(repository / indexes.PLAIN_FILE, text)
    _write(repository / indexes.FILE, signed)


def _locked(repository: Path) -> AbstractContextManager[None]:
    return locked(repository / ".lock")


def _write(path: Path, content: str | bytes) -> None:
    with replacing(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode())
