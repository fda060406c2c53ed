"""An apt of our own: it knows one set of sources, has nothing installed, and answers what would be.

It is the host's program with a configuration that names no file of the host's but its keyrings.
apt itself verifies every Release file, on every update; what it then selects has its sha256 from
an index that the Release file names.
"""

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from vztmpl.build.package import Package
from vztmpl.errors import CommandError, NetworkError, NotFoundError, VerificationError, VztmplError
from vztmpl.files import remove_tree, replacing, write_text
from vztmpl.progress import Progress
from vztmpl.run import run

_FOLDERS = (
    "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d", "var/log/apt",
    "etc/apt/trusted.gpg.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial",
    "answers",
)  # fmt: skip
_KEYRINGS = "/usr/share/keyrings/{os}-archive-keyring.*"
_KEYRING_SUFFIXES = (".gpg", ".asc", ".pgp")
_ARMOURED = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:.+\n)*?\s*\n([^=-]+=*)\n(?:=|-)")
_MAX_ANSWERS = 500
_URI = re.compile(r"'(?P<url>\S+)' (?P<file>\S+) \d+ SHA256:(?P<sha256>[0-9a-f]{64})")
_NOT_TRUSTED = "the archive's keyring, the clock or the mirror is not right; nothing of it is used"
_SAYS = (
    (VerificationError, r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|expired|not valid yet"
                        r"|Hash Sum mismatch|unexpected size|GPG error", _NOT_TRUSTED),
    (NetworkError, r"Could not (resolve|connect)|Connection (failed|timed out)|Unable to connect"
                   r"|Temporary failure|Could not wait for server|  50[0-9]  ",
     "see whether the mirror answers; `--mirror URL` names another one"),
    (VerificationError, r"is not signed|does not have a Release file", _NOT_TRUSTED),
    (NotFoundError, r"Unable to locate package|has no installation candidate"
                    r"|Couldn't find any package|Version '.*' for '.*' was not found",
     "the archive has no such package; its name may be another one in this release"),
)  # fmt: skip
"""Which error apt's words mean, and the cure."""


@dataclass(frozen=True, kw_only=True)
class Apt:
    """One set of sources, and a folder that lasts; hold a lock on the folder while using it."""

    folder: Path
    os: str
    """The distribution's name: its own keyring may sign as well as those that the host trusts."""
    arch: str
    sources: tuple[str, ...]
    options: tuple[tuple[str, str], ...]

    def update(self, progress: Progress) -> None:
        """Fetch what changed of the indexes and verify all Release files."""
        self._set_up()
        once = ["--error-on=any", "--option=pkgCacheFile::Generate=false"]
        self._run(["apt-get", "update", *once], progress)

    def select(self, names: Sequence[str]) -> tuple[Package, ...]:
        """Return what would be installed for ``names`` into an empty tree.

        The answer is kept for as long as neither the archive nor the keys change.
        """
        question = json.dumps([self._state, *names])
        answer = self.folder / "answers" / hashlib.sha256(question.encode()).hexdigest()
        if answer.exists():
            return tuple(Package(**entry) for entry in json.loads(answer.read_text()))
        argv = ["apt-get", "install", "--print-uris", "--quiet=2", "--yes"]
        said = self._run([*argv, "--option=Acquire::ForceHash=sha256", "--", *names])
        lines = [line for line in said.splitlines() if line.startswith("'")]
        packages = tuple(_package(line) for line in lines)
        write_text(answer, json.dumps([asdict(package) for package in packages]))
        return packages

    @property
    def epoch(self) -> int:
        """Return the newest ``Date:`` of the Release files, in seconds since 1970."""
        dates = [
            line.partition(":")[2].strip()
            for release in self._releases
            for line in release.read_text(errors="replace").splitlines()[:40]
            if line.startswith("Date:")
        ]
        if not dates:
            raise VztmplError("the archive has no Release file to take the date from")
        return max(int(parsedate_to_datetime(date).timestamp()) for date in dates)

    @property
    def _releases(self) -> list[Path]:
        return sorted((self.folder / "var/lib/apt/lists").glob("*Release"))

    @cached_property
    def _state(self) -> str:
        """Return a digest of all that decides what apt selects."""
        state = hashlib.sha256()
        for path in (*self._releases, self._configuration):
            state.update(hashlib.sha256(path.read_bytes()).digest())
        state.update(run(["apt-get", "--version"]).encode())
        return state.hexdigest()

    @property
    def _configuration(self) -> Path:
        return self.folder / "apt.conf"

    def _set_up(self) -> None:
        answers = self.folder / "answers"
        if answers.is_dir() and len(list(answers.iterdir())) >= _MAX_ANSWERS:
            remove_tree(answers)
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        status = self.folder / "var/lib/dpkg/status"
        status.parent.mkdir(parents=True, exist_ok=True)
        status.touch()
        sources = "".join(f"{line}\n" for line in self.sources)
        _write(self.folder / "etc/apt/sources.list", sources.encode())
        self._trust()
        settings: dict[str, str | Sequence[str]] = {
            "Dir": str(self.folder),
            "Dir::State::status": str(status),
            "APT::Architecture": self.arch,
            "APT::Architectures": self.arch,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::Cache::srcpkgcache": "",
            **dict(self.options),
        }
        _write(self._configuration, apt_settings(settings).encode())

    def _trust(self) -> None:
        """Trust the keys that the host's apt trusts, and the distribution's own.

        All in one file and not armoured: apt 2 starts some twenty programs for each that is.
        """
        asked = run(["apt-config", "shell", "PARTS", "Dir::Etc::trustedparts/d"])
        parts = Path(asked.partition("=")[2].strip().strip("'") or "/etc/apt/trusted.gpg.d")
        own = Path(_KEYRINGS.format(os=self.os))
        files = sorted([*parts.glob("*"), *own.parent.glob(own.name)])
        keys = b"".join(_keys(path) for path in files if path.suffix in _KEYRING_SUFFIXES)
        _write(self.folder / "etc/apt/trusted.gpg.d/all.gpg", keys)

    def _run(self, argv: Sequence[str], progress: Progress | None = None) -> str:
        note = progress.note if progress else None
        try:
            return run(argv, env={"APT_CONFIG": str(self._configuration)}, on_line=note)
        except CommandError as error:
            raise explained(error) from error


def apt_settings(settings: Mapping[str, str | Sequence[str]]) -> str:
    """Return a configuration file of apt's (apt.conf(5)); a sequence becomes a list."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, str):
            lines += [f'{name} "{value}";\n']
        else:
            lines += [f'{name}:: "{word}";\n' for word in value]
    return "".join(lines)


def explained(error: CommandError) -> VztmplError:
    """Turn what apt said into the error that it means."""
    said = re.sub(r"\n  (?=\S)", ":   ", error.tail)  # the reason stands below what it is about
    for kind, pattern, hint in _SAYS:
        if lines := [line for line in said.splitlines() if re.search(pattern, line)]:
            return kind(re.sub(r"^(E|W|Err:\d+):? *|(?<=:)  +", " ", lines[0]).strip(), hint=hint)
    return error


def _keys(keyring: Path) -> bytes:
    """Return the keys in a file, without their armour (RFC 9580, section 6) if they have one."""
    data = keyring.read_bytes()
    armoured = _ARMOURED.findall(data.replace(b"\r", b""))
    return b"".join(map(b64decode, armoured)) if armoured else data


def _package(line: str) -> Package:
    """Read ``'URL' name_version_arch.deb size SHA256:…``, apt's words for a download."""
    match = _URI.match(line)
    if not match:
        raise VerificationError(f"apt names a package without sha256: {line}", hint=_NOT_TRUSTED)
    name, version, arch = unquote(match["file"]).removesuffix(".deb").split("_")
    return Package(name=name, version=version, arch=arch, sha256=match["sha256"], url=match["url"])


def _write(path: Path, content: bytes) -> None:
    """Have a file with this content; most often it is there, and a disk may be slow."""
    if not path.exists() or path.read_bytes() != content:
        with replacing(path) as file:
            file.write(content)
