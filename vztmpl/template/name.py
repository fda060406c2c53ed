"""Template names the OpenVZ way: ``<os>-<version>-<arch>[-<set>]``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from vztmpl.errors import UsageError

ARCHITECTURES = ("x86_64", "x86", "aarch64", "armv7", "ppc64le", "riscv64", "s390x")
_NAME = re.compile(
    rf"(?P<os>[a-z0-9]+(?:-[a-z]+)*)-(?P<version>[a-z0-9.]+)-(?P<arch>{'|'.join(ARCHITECTURES)})"
    r"(?:-(?P<set>[a-z0-9]+(?:-[a-z0-9]+)*))?"
)
_MAX_LENGTH = 100


def the_one(wanted: str, names: Iterable[str]) -> str:
    """Return the name that is meant: itself, or the only one that adds a set to it; else empty."""
    there = set(names)
    if wanted in there:
        return wanted
    longer = [name for name in there if name.startswith(f"{wanted}-")]
    with_set = [name for name in longer if _without_set(name) == wanted]
    return with_set[0] if len(with_set) == 1 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateName:
    """A template's name in parts; ``str()`` puts it together."""

    os: str
    version: str
    arch: str
    set: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a name apart; UsageError when it is not one."""
        match = _NAME.fullmatch(text)
        if not match or len(text) > _MAX_LENGTH:
            raise UsageError(
                f"{text!r} is not a template name",
                hint="names look like debian-12-x86_64 or debian-12-x86_64-minimal",
            )
        return cls(**{part: value or "" for part, value in match.groupdict().items()})

    def __str__(self) -> str:
        return "-".join(part for part in (self.os, self.version, self.arch, self.set) if part)


def _without_set(name: str) -> str:
    match = _NAME.fullmatch(name)
    return f"{match['os']}-{match['version']}-{match['arch']}" if match else ""
