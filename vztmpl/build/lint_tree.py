"""Checking what only all members together tell: links, units, init, the release."""

import re
from collections.abc import Iterator

from vztmpl.build.lint_members import Finding, is_plain
from vztmpl.build.rules import matcher
from vztmpl.template.members import Kind, Member
from vztmpl.template.name import TemplateName

_MAX_HOPS = 40
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
        fields = _fields(told)
        if not self._leads_to("etc/os-release") or not fields.get("ID"):
            yield Finding(rule="os-release", path="/etc/os-release", detail="missing, or no ID")
        elif not name.os.startswith(fields["ID"]):
            detail = f"ID={fields['ID']}"
            yield Finding(rule="other-release", path="/etc/os-release", detail=detail)
        versions = {"etc/os-release": fields.get("VERSION_ID", "")}
        lsb = _fields(self._releases.get(_LSB_RELEASE, b""))
        versions[_LSB_RELEASE] = lsb.get("DISTRIB_RELEASE", "")
        if name.os == "debian":  # others that have the file mean the Debian they come from
            versions[_DEBIAN_VERSION] = self._releases.get(_DEBIAN_VERSION, b"").decode(
                "ascii", "replace"
            )
        for path, version in versions.items():
            both_numbers = version[:1].isdigit() and name.version[:1].isdigit()
            if both_numbers and not f"{version.strip()}.".startswith(f"{name.version}."):
                yield Finding(rule="other-release", path=f"/{path}", detail=version.strip())

    def _leads_to(self, path: str) -> bool:
        """Say whether something is at a path, its links followed as from inside the tree."""
        left, done, hops = path.split("/")[::-1], list[str](), 0
        while left:
            part = left.pop()
            if part == "..":
                done = done[:-1]
            elif part not in ("", "."):
                here = "/".join((*done, part))
                target = self._links.get(here)
                if target is None and here not in self._paths:
                    return False
                if target is None:
                    done.append(part)
                    continue
                hops += 1
                if hops > _MAX_HOPS:
                    return False
                done = [] if target.startswith("/") else done
                left += target.split("/")[::-1]
        return True


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
