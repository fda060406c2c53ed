"""Publishing: verified templates go into a folder that any web server can serve.

REPO/templates/NAME/SERIAL/     the three files of one build; never changed afterwards
REPO/key.asc                    the public keys of those who signed what is there
REPO/index.json                 the index, for people
REPO/index.json.asc             the same signed, written after every file that it names
"""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from vztmpl.errors import VztmplError, during
from vztmpl.files import locked, new_folder, remove_abandoned, replacing
from vztmpl.repo.verify import Verified, verify
from vztmpl.template import index as indexes
from vztmpl.template.index import EMPTY, Entry, Index
from vztmpl.template.manifest import MAX_BYTES, Manifest, TemplateFiles
from vztmpl.template.signature import Keyring, fingerprints, verify_clear

KEY_FILE = "key.asc"
_CHUNK = 1 << 20


def publish(
    repository: Path, archives: Sequence[Path], keyring: Keyring, fingerprint: str
) -> list[Entry]:
    """Add templates to a repository and sign its index anew; no archives just renew it.

    Publishing the same build twice is fine. VerificationError when a template is not signed by a
    key of ``keyring``, or the index that is there is not; then nothing was changed.
    """
    known = keyring.keys()
    ours = {key.fingerprint: keyring.export(key.fingerprint) for key in known}
    public_keys = "".join(ours.values()).encode()
    with during(f"publishing to {repository}"):
        verified = [verify(archive, public_keys) for archive in archives]
        _public_folder(repository)
        with locked(repository / ".lock"):
            index = _index(repository, public_keys)
            entries = [_place(repository, template) for template in verified]
            signers = {fingerprint, *(template.signer for template in verified)}
            signers |= _known_signers(repository / KEY_FILE)
            _write(repository / KEY_FILE, "".join(ours[key] for key in ours if key in signers))
            text = index.with_entries(entries, datetime.now(UTC)).to_json()
            signed = keyring.sign(text, fingerprint, clear=True)
            _write(repository / indexes.PLAIN_FILE, text)
            _write(repository / indexes.FILE, signed)
    return entries


def _index(repository: Path, public_keys: bytes) -> Index:
    """Read the index that is there, if any; only one of ours is carried on."""
    path = repository / indexes.FILE
    try:
        with path.open("rb") as file:
            signed = file.read(indexes.MAX_BYTES)
    except FileNotFoundError:
        return EMPTY
    text, _ = verify_clear(signed, public_keys, path)
    return Index.parse(text, path)


def _place(repository: Path, template: Verified) -> Entry:
    """Put the files of a build in place unless they are there, and return its entry."""
    manifest = template.manifest
    folder = repository / "templates" / manifest.name / manifest.serial
    for parent in reversed(folder.relative_to(repository).parents):
        _public_folder(repository / parent)
    remove_abandoned(folder)
    if not folder.is_dir():
        with new_folder(folder) as partial:
            partial.chmod(0o755)
            for file in (*template.files.all, *template.files.named_by(manifest)):
                _copy(file, partial / file.name)
    return _entry(TemplateFiles.of(folder, manifest.name), manifest)


def _entry(files: TemplateFiles, offered: Manifest) -> Entry:
    """Return the entry of a build that is in place and has to be the one offered."""
    with files.manifest.open("rb") as file:
        text = file.read(MAX_BYTES)
    there = Manifest.parse(text, files.manifest)
    if there.digest != offered.digest:
        raise VztmplError(
            f"{files.manifest.parent} holds another build of the same serial",
            hint="what is published never changes: build it again, for a serial of its own",
        )
    return Entry.of(there, sha256(text).hexdigest())


def _copy(source: Path, target: Path) -> None:
    """Copy a file; a link to it would change what is published when somebody overwrites it."""
    with source.open("rb") as file, replacing(target) as copy:
        shutil.copyfileobj(file, copy, _CHUNK)


def _known_signers(path: Path) -> set[str]:
    return set(fingerprints(path.read_bytes())) if path.is_file() else set()


def _public_folder(path: Path) -> None:
    """Make a folder that a web server may read, whatever the umask; one that is there stays."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(0o755)


def _write(path: Path, content: str | bytes) -> None:
    with replacing(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode())
