"""Checking one member of an archive: its name, kind, owner, mode, attributes and small contents."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vztmpl.build import lint_known
from vztmpl.build.lint_rules import RULES
from vztmpl.build.rules import matcher
from vztmpl.template.walk import Kind, Member

_LAST_ID = 65535
_SMALL_BYTES = 1 << 20
_DPKG_STATUS = "var/lib/dpkg/status"
_DPKG_STATUS_BYTES = 32 << 20
_WHOLE = ("ok installed", "ok config-files", "ok not-installed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A place where a rule is broken."""

    rule: str
    path: str
    detail: str = ""

    @property
    def place(self) -> str:
        """Where, for people; whoever shows it takes out what could command a terminal."""
        return f"{self.path} ({self.detail})" if self.detail else self.path


def content(member: Member) -> bytes:
    """Read what the checks want to see of a member; it can be read once only."""
    if member.kind is not Kind.FILE or not _ANY_CONTENT.fullmatch(member.path):
        return b""
    large = member.path == _DPKG_STATUS
    return member.read(_DPKG_STATUS_BYTES if large else _SMALL_BYTES)


def check(member: Member, text: bytes, epoch: int) -> Iterator[Finding]:
    """Yield what is wrong with one member by itself; ``text`` is its ``content``."""
    for name, detail in _problems(member, text, epoch):
        yield Finding(rule=name, path=f"/{member.path}", detail=detail)


def _problems(member: Member, text: bytes, epoch: int) -> Iterator[tuple[str, str]]:
    if not is_plain(member.path):
        yield "unsafe-name", ""
        return
    yield from ((name, "") for name in _forbidden(member, text))
    yield from _right_problems(member)
    if member.kind is Kind.DEVICE:
        yield "device", ""
    if not all(0 <= number <= _LAST_ID for number in (member.uid, member.gid)):
        yield "owner", f"{member.uid}:{member.gid}"
    if not member.mtime <= epoch:  # not a number is no time either
        yield "newer", f"by {member.mtime - epoch:.0f} s"
    for pattern, problems in _CONTENTS:
        if text and pattern.fullmatch(member.path):
            yield from problems(text)


def is_plain(path: str) -> bool:
    """Say whether a path stays below where it begins and names each step."""
    return not path or all(part not in ("", ".", "..") for part in path.split("/"))


def _forbidden(member: Member, text: bytes) -> Iterator[str]:
    """Yield the rules that name a member's path among those that must not be there."""
    if not _ANY_PATH.fullmatch(member.path):
        return
    if member.path == "etc/machine-id" and text == b"uninitialized\n":  # see machine-id(5)
        return
    empty = member.kind is Kind.LINK or (member.kind is Kind.FILE and not member.size_bytes)
    for name, pattern in _PATHS.items():
        if pattern.fullmatch(member.path):
            rule = RULES[name]
            folder_of_files = member.kind is Kind.FOLDER and rule.paths[0].endswith("/**")
            if not folder_of_files and not (empty and rule.empty_is_fine):
                yield name


def _right_problems(member: Member) -> Iterator[tuple[str, str]]:
    mode, merged = member.mode, _merged(member.path)
    shown = f"mode {mode:04o}, owner {member.uid}:{member.gid}"
    sticky_folder = member.kind is Kind.FOLDER and mode & 0o1000
    wanted = lint_known.MODES.get(member.path)
    if member.kind is Kind.LINK:
        return
    if mode & 0o002 and not sticky_folder and member.kind is not Kind.DEVICE:
        yield "world-writable", shown
    if member.kind is Kind.FILE and mode & 0o6000 and not lint_known.SET_ID.fullmatch(merged):
        yield "set-id", shown
    if "security.capability" in member.xattrs and not lint_known.CAPABLE.fullmatch(merged):
        yield "capability", shown
    if wanted and not wanted.allows(mode, member.uid):
        yield "mode", f"{shown}; must be {wanted}"


def _merged(path: str) -> str:
    """Return where a program is once /bin, /sbin and /lib are links into /usr."""
    return f"usr/{path}" if path.startswith(("bin/", "sbin/", "lib")) else path


def _passwd(text: bytes) -> Iterator[tuple[str, str]]:
    for user, password, fields in _accounts(text):
        if fields[:1] == ["0"] and user != "root":
            yield "second-root", user
        yield from _password(user, password)


def _shadow(text: bytes) -> Iterator[tuple[str, str]]:
    for user, password, _ in _accounts(text):
        yield from _password(user, password)


def _accounts(text: bytes) -> Iterator[tuple[str, str, list[str]]]:
    for line in text.decode(errors="replace").splitlines():
        user, *fields = line.split(":")
        if user and fields:
            yield user, fields[0], fields[1:]


def _password(user: str, password: str) -> Iterator[tuple[str, str]]:
    """Judge the second field of passwd(5) or shadow(5)."""
    if not password:
        yield "empty-password", user
    elif password != "x" and (password[0] not in "!*" or "$" in password):  # noqa: S105
        yield "known-password", user


def _fstab(text: bytes) -> Iterator[tuple[str, str]]:
    for line in text.decode(errors="replace").splitlines():
        words = line.split()
        if words and not words[0].startswith("#") and words[2:3] not in (["tmpfs"], ["proc"]):
            yield "fstab", line.strip()


def _hosts(text: bytes) -> Iterator[tuple[str, str]]:
    lines = [line.partition("#")[0].split() for line in text.decode(errors="replace").splitlines()]
    names = {name for words in lines for name in words[1:]}
    if "localhost" not in names:
        yield "hosts", "no localhost"
    for name in sorted(names):
        if not name.startswith(("localhost", "ip6-", "ipv6-", "ff02")):
            yield "hosts", name


def _private_key(text: bytes) -> Iterator[tuple[str, str]]:
    if re.search(rb"^-----BEGIN [A-Z ]*PRIVATE KEY", text, re.MULTILINE):
        yield "private-key", ""


def _sshd(text: bytes) -> Iterator[tuple[str, str]]:
    expression = rb"^\s*(PermitRootLogin|PermitEmptyPasswords)[\s=]+\"?yes\b.*"
    for match in re.finditer(expression, text, re.MULTILINE | re.IGNORECASE):
        yield "sshd-open", match[0].strip().decode(errors="replace")


def _archives(text: bytes) -> Iterator[tuple[str, str]]:
    for line in text.decode(errors="replace").splitlines():
        setting = line.partition("#")[0]
        if re.search(r"://[^/\s:@]+:[^/\s@]+@|^\s*machine\s.*\spassword\s", setting):
            yield "credentials", ""  # not the line: a report goes to many
        proxy = "Acquire" in setting and "Proxy" in setting
        if proxy or re.search(r"\b(file|copy):/|//(localhost|127\.|\[::1\])", setting):
            yield "build-archive", setting.strip()


def _dpkg(text: bytes) -> Iterator[tuple[str, str]]:
    package = ""
    for line in text.decode(errors="replace").splitlines():
        key, _, value = line.partition(": ")
        if key == "Package":
            package = value
        elif key == "Status" and value.partition(" ")[2] not in _WHOLE:
            yield "half-installed", f"{package}: {value}"


_CONTENTS: tuple[tuple[re.Pattern[str], Callable[[bytes], Iterator[tuple[str, str]]]], ...] = (
    (matcher(["/etc/passwd"]), _passwd),
    (matcher(["/etc/shadow"]), _shadow),
    (matcher(["/etc/fstab"]), _fstab),
    (matcher(["/etc/hosts"]), _hosts),
    (matcher(["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*"]), _sshd),
    (
        matcher(["/etc/apt/**", "/etc/yum.repos.d/*", "/etc/dnf/*", "/etc/zypp/**",
                 "/etc/pacman.conf", "/etc/pacman.d/*", "/etc/apk/repositories"]),
        _archives,
    ),
    (matcher(["/etc/**", "/root/**", "/home/**"]), _private_key),
    (matcher([f"/{_DPKG_STATUS}"]), _dpkg),
)  # fmt: skip
_ANY_CONTENT = matcher(
    ["/etc/**", "/root/**", "/home/**", "/usr/lib/os-release", f"/{_DPKG_STATUS}"]
)
_PATHS = {name: matcher(rule.paths) for name, rule in RULES.items() if rule.paths}
_ANY_PATH = matcher(pattern for rule in RULES.values() for pattern in rule.paths)
