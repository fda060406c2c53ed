"""One template on the page for people: what it is, what changed in it, how to use it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.config import Publishing
from vztmpl.repo.formats.markup import Html, commands, tag
from vztmpl.repo.formats.uses import uses

REPORT = ".test.json"
"""What a boot test said, beside the archive: ``passed`` (true or false), ``summary`` (a line)."""
_REPORT_MAX_BYTES = 64 << 10
_HUES = 8
_NAME_WIDTH = 28


class _Report(NamedTuple):
    passed: bool
    summary: str


def article(repository: Path, builds: Sequence[Build], publishing: Publishing) -> Html:
    """Describe a template by its builds, the oldest first."""
    build = builds[-1]
    report = _report(repository, build)
    return tag(
        "article",
        tag("div", *_top(build, report), class_="top"),
        tag("dl", *_facts(build, report), class_="facts"),
        tag("div", *_more(repository, builds, publishing), class_="more"),
        id=str(build.name),
        data_os=build.name.os,
        data_arch=build.name.arch,
        data_set=build.variant,
    )


def day(when: datetime) -> str:
    """Write a date for people: ``2 Feb 2026``."""
    return f"{when.day} {when:%b %Y}"


def _top(build: Build, report: _Report | None) -> Iterator[Html]:
    os = build.name.os
    yield tag("span", os[:2], class_=f"tile hue{crc32(os.encode()) % _HUES}", aria_hidden="true")
    name = tag("h2", tag("a", str(build.name), href=f"#{build.name}"))
    yield tag("div", name, tag("p", build.title))
    if report:
        word, kind = ("passed", "good") if report.passed else ("failed", "bad")
        yield tag("p", f"Boot test {word}", class_=f"badge {kind}")


def _report(repository: Path, build: Build) -> _Report | None:
    """Return what a boot test said; nothing when there is no report or it makes no sense."""
    try:
        with (repository / build.own(REPORT)).open("rb") as file:
            said = json.loads(file.read(_REPORT_MAX_BYTES))
        return _Report(said["passed"] is True, str(said.get("summary", "")))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _facts(build: Build, report: _Report | None) -> Iterator[Html]:
    manifest = build.manifest
    built = tag("time", day(build.built), datetime=f"{build.built:%Y-%m-%dT%H:%MZ}")
    for label, value in (
        ("Built", built),
        ("Download", _size(manifest.size_bytes)),
        ("Unpacked", _size(manifest.unpacked_bytes)),
        ("Packages", str(len(manifest.packages))),
        ("Architecture", build.name.arch),
    ):
        yield tag("div", tag("dt", label), tag("dd", value))
    if report and report.summary:
        yield tag("div", tag("dt", "Boot test"), tag("dd", report.summary), class_="wide")


def _more(repository: Path, builds: Sequence[Build], publishing: Publishing) -> Iterator[Html]:
    build = builds[-1]
    ways = [
        tag("section", tag("h3", use.system), commands(use.commands))
        for use in uses(build, publishing)
    ]
    yield _details("How to use it", tag("div", *ways, class_="uses"))
    if len(builds) > 1:
        before = builds[-2]
        rows = [*_changes(before.manifest.packages, build.manifest.packages)]
        label = f"Changes since {day(before.built)}"
        yield _details(f"{label} ({len(rows)})", _table(rows) if rows else tag("p", "None."))
    if build.manifest.packages:
        packages = build.manifest.packages
        yield _details(f"Packages ({len(packages)})", _listing(packages), class_="packages")
    yield _details("Files", tag("ul", *_files(repository, builds), class_="files"))


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before is None:
            yield name, f"new: {after}"
        elif after is None:
            yield name, "removed"
        elif before != after:
            yield name, f"{before} → {after}"


def _files(repository: Path, builds: Sequence[Build]) -> Iterator[Html]:
    """Link the newest build's own files, and the older builds."""
    build = builds[-1]
    kinds = {
        ".tar.zst": "archive",
        ".json": "manifest",
        ".json.asc": "signature",
        ".cdx.json": "SBOM",
        ".provenance.json": "provenance",
        REPORT: "boot test",
    }
    for suffix, kind in kinds.items():
        if (repository / (path := build.own(suffix))).is_file():
            yield tag("li", tag("a", path.rpartition("/")[2], href=path), " ", tag("small", kind))
    for older in reversed(builds[:-1]):
        link = tag("a", older.serial, href=older.archive)
        yield tag("li", link, " ", tag("small", f"built on {day(older.built)}"))


def _table(rows: Sequence[tuple[str, str]]) -> Html:
    cells = (tag("tr", tag("th", name, scope="row"), tag("td", said)) for name, said in rows)
    return tag("table", tag("tbody", *cells))


def _listing(packages: Mapping[str, str]) -> Html:
    """List packages as a text: a table of them for a thousand templates would be too much."""
    width = min(_NAME_WIDTH, max(map(len, packages)))
    lines = (f"{name.ljust(width)}  {version}\n" for name, version in sorted(packages.items()))
    return tag("pre", tag("code", "".join(lines)))


def _details(summary: str, content: Html, **attributes: str) -> Html:
    return tag("details", tag("summary", summary), content, **attributes)


def _size(count_bytes: int) -> str:
    return f"{count_bytes / 1e6:.1f} MB" if count_bytes < 1e9 else f"{count_bytes / 1e9:.2f} GB"  # noqa: PLR2004
