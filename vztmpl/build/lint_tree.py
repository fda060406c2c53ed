"""Checking what only all members together tell: links, units, init, the release."""

import re
from collections.abc import Iterator

from vztmpl.build.lint_members import Finding, is_plain
from vztmpl.build.rules import matcher
from vztmpl.template.members import Kind, Member
from vztmpl.template.name import TemplateName

_MAX_HOPS = 40
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_OS_RELEASE_BYTES = 16 << 10
_STARTED = matcher(["/etc/systemd/system/**", "/etc/runlevels/*/*", "/etc/rc*.d/*"])


class Tree:
    """The names in an archive and where its links lead, as somebody inside would see them."""

    def __init__(self) -> None:
        self._paths: set[str] = {""}
        self._links: dict[str, str] = {}
        self._release = b""

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
                yield Finding(rule="unsafe-link", path=path, detail=f"to {member.target}")
        elif member.kind is Kind.FILE and member.path in _OS_RELEASE:
            self._release = text[:_OS_RELEASE_BYTES]
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
        path = "/etc/os-release"
        fields = _fields(self._release)
        if not self._leads_to("etc/os-release") or not fields.get("ID"):
            yield Finding(rule="os-release", path=path, detail="missing, or without ID")
            return
        told, version = fields["ID"], fields.get("VERSION_ID", "")
        both_numbers = version[:1].isdigit() and name.version[:1].isdigit()
        if not name.os.startswith(told):
            yield Finding(rule="other-release", path=path, detail=f"ID={told}")
        elif both_numbers and not f"{version}.".startswith(f"{name.version}."):
            yield Finding(rule="other-release", path=path, detail=f"VERSION_ID={version}")

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
