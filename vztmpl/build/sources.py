"""Where Debian's packages come from: the host's own apt configuration, whatever form it has.

apt itself is asked, so one-line and deb822 sources, http and https, and proxies all work. A host
without apt, or without Debian sources, gives nothing, and the bootstrapper's own default counts.
"""

from dataclasses import dataclass

from vztmpl.errors import CommandError
from vztmpl.run import run

_FORMAT = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
_COPIED = (
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What apt on this host says; empty strings where it says nothing."""

    main: str = ""
    """URI of the Debian archive."""
    security: str = ""
    """URI of Debian's security archive."""
    options: tuple[tuple[str, str], ...] = ()
    """Options of apt's that reaching them may need, as (name, value)."""

    def lines(self, suite: str) -> list[str]:
        """Return one-line sources for a suite with its updates and security fixes."""
        lines = []
        if self.main:
            lines += [f"deb {self.main} {suite} main"]
            if suite != "sid":
                lines += [f"deb {self.main} {suite}-updates main"]
        if self.security and suite != "sid":
            lines += [f"deb {self.security} {suite}-security main"]
        return lines


def host_sources() -> Sources:
    """Ask this host's apt."""
    try:
        listed = run(["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"])
        asked = [word for number, name in enumerate(_COPIED) for word in (f"O{number}", name)]
        options = run(["apt-config", "shell", *asked])
    except CommandError:
        return Sources()
    uris = {(origin, label): uri for origin, label, _, uri in _rows(listed)}
    return Sources(
        main=uris.get(("Debian", "Debian"), ""),
        security=uris.get(("Debian", "Debian-Security"), ""),
        options=tuple(_options(options)),
    )


def _rows(listed: str) -> list[tuple[str, str, str, str]]:
    rows = [line.split("|") for line in listed.splitlines()]
    return [(row[0], row[1], row[2], row[3].rstrip("/")) for row in rows if len(row) == 4]  # noqa: PLR2004


def _options(shell: str) -> list[tuple[str, str]]:
    """Read what ``apt-config shell`` printed: lines of O3='value'."""
    found = []
    for line in shell.splitlines():
        variable, _, value = line.partition("=")
        if variable[1:].isdigit():
            found.append((_COPIED[int(variable[1:])], value.strip("'")))
    return found
