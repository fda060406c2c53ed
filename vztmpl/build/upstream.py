"""Which source package each package of a tree was made from: scanners know flaws by source."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from vztmpl.build.chroot import run_inside
from vztmpl.errors import CommandError

_RPM_FORMAT = "%{NAME} %{SOURCERPM}\\n"
_COMMANDS = {
    "deb": ("cat", "/var/lib/dpkg/status"),
    "apk": ("cat", "/lib/apk/db/installed"),
    "rpm": ("rpm", "--query", "--all", f"--queryformat={_RPM_FORMAT}"),
}
_FIELDS = {"deb": ("Package: ", "Source: "), "apk": ("P:", "o:")}


def upstreams(tree: Path, kind: str) -> dict[str, str]:
    """Return package name to source, as purl's ``upstream`` has it, where the two differ.

    ``kind`` is purl's word for the packages. Pacman's are not asked: nothing looks for theirs.
    """
    if kind not in _COMMANDS:
        return {}
    try:
        lines = run_inside(tree, _COMMANDS[kind]).splitlines()
    except CommandError:
        return {}  # made by the host's rpm, with none of its own
    pairs = _words(lines) if kind == "rpm" else _paragraphs(lines, *_FIELDS[kind])
    return {package: source for package, source in pairs if source not in ("", package)}


def _words(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        package, _, source = line.partition(" ")
        yield package, source if source.endswith(".rpm") else ""


def _paragraphs(lines: Iterable[str], package: str, source: str) -> Iterator[tuple[str, str]]:
    """Read paragraphs whose first field names the package; a later one its source."""
    name = ""
    for line in lines:
        if line.startswith(package):
            name = line.removeprefix(package)
        elif line.startswith(source):
            upstream, _, version = line.removeprefix(source).partition(" ")
            yield name, upstream + version.replace("(", "@").rstrip(")")
