"""For whom a repository is published, the same for a person and a nightly job.

The table ``[publish]`` of REPO/repository.toml; the rest is the policy's (``repo.policy``).

[publish]
formats = ["incus", "lxc"]                     # besides our own
push = "docker://registry.example.org/os"      # images go there too
title = "Example Templates"                    # of the page
url = "https://templates.example.org"          # where the folder is served; the page shows it
"""

import json
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from vztmpl.errors import ConfigError
from vztmpl.files import write_text
from vztmpl.repo import policy

TITLE = "System container templates"


_SECTION = re.compile(r"^\[publish\][^\n]*\n(?:(?!\[).*\n?)*", re.MULTILINE)


class Format(StrEnum):
    """Who reads a repository besides vztmpl."""

    INCUS = "incus"
    LXC = "lxc"
    OCI = "oci"
    OPENVZ = "openvz"
    PROXMOX = "proxmox"
    SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """What a repository's file says of publishing."""

    formats: tuple[Format, ...] = ()
    push: str = ""
    """``docker://HOST/PATH`` of a registry, or nothing."""
    title: str = TITLE
    url: str = ""

    @classmethod
    def load(cls, repository: Path) -> Self:
        """Read a repository's file; without one nothing but our own form is made."""
        section = policy.read(repository).table("publish")
        path = repository / policy.FILE
        publishing = cls.of(
            section.strings("formats"),
            path,
            push=section.take("push", str, ""),
            title=section.take("title", str, TITLE),
            url=section.take("url", str, ""),
        )
        section.done()
        return publishing

    @classmethod
    def of(cls, formats: tuple[str, ...], where: object, **rest: str) -> Self:
        """Make it from words; ConfigError when one is not known."""
        if unknown := sorted(set(formats) - set(Format)):
            hint = f"known: {', '.join(Format)}"
            raise ConfigError(where, "formats", f"{unknown[0]!r} is not a format", hint=hint)
        addresses = {key: rest[key].rstrip("/") for key in ("push", "url") if key in rest}
        chosen = sorted({Format(word) for word in formats})
        publishing = cls(formats=tuple(chosen), **rest | addresses)
        publishing._check(where)
        return publishing

    def save(self, repository: Path) -> None:
        """Write the table anew at the end of the repository's file; all else stays as it is."""
        said = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        lines = [
            f"{key} = {json.dumps(value)}\n"
            for key, (value, default) in said.items()
            if value != default
        ]
        path = repository / policy.FILE
        kept = _SECTION.sub("", path.read_text()) if path.exists() else ""
        write_text(path, "".join([kept, *(["[publish]\n", *lines] if lines else [])]))

    def _check(self, where: object) -> None:
        for key, schemes in (("push", ("docker",)), ("url", ("https", "http"))):
            if value := getattr(self, key):
                try:
                    parts = urlsplit(value)
                    good = parts.scheme in schemes and parts.hostname
                except ValueError:
                    good = False
                if not good or any(letter in value for letter in " \"'<>\n"):
                    hint = f"it looks like {schemes[0]}://HOST/PATH"
                    raise ConfigError(where, key, f"{value!r} can't be used", hint=hint)
        if self.push and Format.OCI not in self.formats:
            hint = 'add "oci" to formats'
            raise ConfigError(where, "push", "what is pushed is the oci format", hint=hint)
