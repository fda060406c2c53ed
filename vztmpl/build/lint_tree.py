"""Checking what only all members together tell: links, units, init, the release."""

import re
from collections.abc import Iterator

from vztmpl.build.lint_members import Finding, is_plain
from vztmpl.build.rules import matcher
from vztmpl.template.name import TemplateName
from vztmpl.template.walk import Kind, Member

_MAX_STEPS = 200
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_DEBIAN_VERSION, _LSB_RELEASE = "etc/debian_version", "etc/lsb-release"
_RELEASES = (*_OS_RELEASE, _DEBIAN_VERSION, _LSB_RELEASE)
_STARTED = matcher(["/etc/systemd/system/**", "/etc/runlevels/*/*", "/etc/rc*.d/*"])


class Tree:
    """The names in an archive and where its links lead, as somebody inside would see them."""

    def __init__(self) -> None:
        self._paths: set[str] = {""}
        self._links: dict[str, str] = {}
        self._releases: dict[str, bytes] = {}

    def add(self, member: Member, text: bytes) -> Iterator[Finding]:
        """Take in the next member and its content; yield what those before it make wrong of it."""
        path = f"/{member.path}"
        if member.path and member.path in self._paths:
            yield Finding(rule="unsafe-name", path=path, detail="there already")
        if member.path.rpartition("/")[0] in self._links:
            yield Finding(rule="unsafe-name", path=path, detail="below a link")
        if member.kind is Kind.HARD_LINK and member.target not in self._paths:
            yield Finding(rule="unsafe-link", path=path, detail=f"to {member.target}")
        if member.kind is Kind.LINK:
            self._links[member.path] = member.target
            if _climbs_out(member.path, member.target):
                yield Finding(rule="climbing-link", path=path, detail=f"to {member.target}")
        elif member.path in _RELEASES:
            self._releases[member.path] = text
        self._paths.add(member.path)

    def check(self, name: TemplateName) -> Iterator[Finding]:
        """Yield what is wrong with the whole."""
        if not self._leads_to("sbin/init"):
            yield Finding(rule="no-init", path="/sbin/init")
        for path, target in self._links.items():
            if target.startswith("/") and target.strip("/").partition("/")[0] not in self._paths:
                yield Finding(rule="build-path", path=f"/{path}", detail=f"to {target}")
            if _STARTED.fullmatch(path) and target != "/dev/null" and not self._leads_to(path):
                yield Finding(rule="dangling-unit", path=f"/{path}", detail=f"to {target}")
        yield from self._check_release(name)

    def _check_release(self, name: TemplateName) -> Iterator[Finding]:
        told = next((self._releases[path] for path in _OS_RELEASE if path in self._releases), b"")
        release = _fields(told)
        if not self._leads_to("etc/os-release") or not release.get("ID"):
            yield Finding(rule="os-release", path="/etc/os-release", detail="missing, or no ID")
        elif not name.os.startswith(release["ID"]):
            detail = f"ID={release['ID']}"
            yield Finding(rule="other-release", path="/etc/os-release", detail=detail)
        lsb = _fields(self._releases.get(_LSB_RELEASE, b""))
        debian = self._releases.get(_DEBIAN_VERSION, b"").decode(errors="replace").strip()
        versions = {
            "etc/os-release": release.get("VERSION_ID", ""),
            _LSB_RELEASE: lsb.get("DISTRIB_RELEASE", ""),
            # Others that have this file name the Debian that they come from
            _DEBIAN_VERSION: debian if name.os == "debian" else "",
        }
        for path, version in versions.items():
            if _is_other(version, name.version):
                yield Finding(rule="other-release", path=f"/{path}", detail=version)

    def _leads_to(self, path: str) -> bool:
        """Say whether something is at a path, its links followed as from inside the tree."""
        left, done = path.split("/")[::-1], list[str]()
        for _ in range(_MAX_STEPS):
            if not left:
                return True
            part = left.pop()
            here = "/".join((*done, part))
            if part == "..":
                done = done[:-1]
            elif part in ("", "."):
                continue
            elif (target := self._links.get(here)) is not None:
                done = [] if target.startswith("/") else done
                left += target.split("/")[::-1]
            elif here in self._paths:
                done.append(part)
            else:
                return False
        return False


def _is_other(version: str, wanted: str) -> bool:
    """Say whether a version is another one than the template's; words can't be compared."""
    numbers = version[:1].isdigit() and wanted[:1].isdigit()
    return numbers and not f"{version}.".startswith(f"{wanted}.")


def _climbs_out(path: str, target: str) -> bool:
    """Say whether a relative link has more ``..`` than folders above it."""
    if target.startswith("/") or not is_plain(path):
        return False
    depth = path.count("/")
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def _fields(text: bytes) -> dict[str, str]:
    """Read os-release(5)."""
    found = re.findall(
        r"""^([A-Z_]+)=["']?([^"'\n]*)""", text.decode(errors="replace"), re.MULTILINE
    )
    return dict(found)
