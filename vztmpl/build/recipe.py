"""Recipes: TOML files that say how a template is made.

A recipe stands for a matrix: releases by architectures by sets. ``resolve`` picks one cell of it
by template name, reads the shared pieces that the recipe includes, and keeps what its ``when``
filters let through. Everything is validated before anything is touched. docs/recipes.md has the
format with an example.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from vztmpl.build.lint_rules import RULES
from vztmpl.build.rules import Waiver
from vztmpl.errors import ConfigError, NotFoundError, UsageError
from vztmpl.table import Table
from vztmpl.template.name import TemplateName


class Stage(StrEnum):
    """When a script runs inside the tree."""

    PACKAGES = "packages"
    FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """A file that the recipe puts into the tree."""

    path: str
    content: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A shell script that runs inside the tree."""

    stage: Stage
    text: str


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a recipe file and the pieces it includes add up to, for one cell of the matrix."""

    packages: list[str] = field(default_factory=list)
    files: list[TreeFile] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)
    mask: list[str] = field(default_factory=list)
    """Units of systemd that must not start."""
    enable: list[str] = field(default_factory=list)
    disable: list[str] = field(default_factory=list)
    waivers: list[Waiver] = field(default_factory=list)
    """What lint is to let pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One cell of a recipe's matrix, resolved."""

    name: TemplateName
    description: str
    bootstrapper: str
    suite: str
    arch: str
    """The distribution's own word for the architecture, as ``amd64``."""
    mirror: str
    """Empty: the host's own package sources, or else the bootstrapper's default."""
    parts: Parts

    @property
    def digest(self) -> str:
        """Return sha256 (hex) over all that the recipe says."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrix:
    """Which templates a recipe file makes."""

    os: str
    description: str
    bootstrapper: str
    mirror: str
    architectures: Mapping[str, str]
    suites: Mapping[str, str]
    """Release to the distribution's own word for it."""
    sets: tuple[str, ...]

    @classmethod
    def take(cls, table: Table, path: Path) -> "_Matrix":
        matrix = cls(
            os=table.take("os", str),
            description=table.take("description", str),
            bootstrapper=table.take("bootstrapper", str),
            mirror=table.take("mirror", str, ""),
            architectures=_words(table.table("architectures")),
            suites=_words(table.table("releases")),
            sets=table.strings("sets"),
        )
        if matrix.os != path.stem:
            raise table.error("os", f"must be {path.stem!r} like the file, not {matrix.os!r}")
        if not matrix.names():
            raise table.error("releases, architectures, sets", "must name at least one each")
        for name in matrix.names():
            try:
                TemplateName.parse(name)
            except UsageError as error:
                raise table.error("releases, architectures, sets", str(error)) from error
        return matrix

    def names(self) -> list[str]:
        return [
            f"{self.os}-{release}-{arch}-{one_set}"
            for release in self.suites
            for arch in self.architectures
            for one_set in self.sets
        ]


def names(folder: Path) -> list[str]:
    """Return the names of all templates that the recipes in ``folder`` make."""
    return [
        name
        for path in sorted(folder.glob("*.toml"))
        for name in _Matrix.take(_read(path), path).names()
    ]


def resolve(folder: Path, text: str, *, mirror: str = "") -> Recipe:
    """Return what the recipes in ``folder`` say of the template called ``text``.

    NotFoundError when no recipe makes it; ConfigError when the recipe is wrong.
    """
    name = TemplateName.parse(text)
    path = folder / f"{name.os}.toml"
    if not path.is_file():
        raise _unknown(folder, text)
    table = _read(path)
    matrix = _Matrix.take(table, path)
    if text not in matrix.names():
        raise _unknown(folder, text)
    parts = Parts()
    _collect(table, path, name, parts, including=(path,))
    suite = matrix.suites[name.version]
    return Recipe(
        name=name,
        description=_described(matrix.description, name, suite, path),
        bootstrapper=matrix.bootstrapper,
        suite=suite,
        arch=matrix.architectures[name.arch],
        mirror=mirror or matrix.mirror,
        parts=parts,
    )


def _described(text: str, name: TemplateName, suite: str, path: Path) -> str:
    words = {"version": name.version, "suite": suite, "arch": name.arch, "set": name.set}
    try:
        return text.format_map(words)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        known = ", ".join(f"{{{word}}}" for word in words)
        raise ConfigError(path, "description", f"may hold {known} and no other braces") from error


def _collect(
    table: Table, path: Path, name: TemplateName, parts: Parts, including: tuple[Path, ...]
) -> None:
    for included in table.strings("include"):
        piece = (path.parent / included).resolve()
        if piece in including:
            raise table.error("include", f"{included} includes itself")
        _collect(_read(piece), piece, name, parts, including=(*including, piece))
    for entry in table.tables("packages"):
        wanted, packages = _applies(entry, name), entry.strings("install")
        parts.packages += packages if wanted else ()
        entry.done()
    for entry in table.tables("files"):
        wanted, file = _applies(entry, name), _tree_file(entry)
        parts.files += [file] if wanted else []
        entry.done()
    for entry in table.tables("scripts"):
        wanted, script = _applies(entry, name), _script(entry)
        parts.scripts += [script] if wanted else []
        entry.done()
    for entry in table.tables("services"):
        wanted = _applies(entry, name)
        for verb in ("mask", "enable", "disable"):
            units = entry.strings(verb)
            getattr(parts, verb).extend(units if wanted else ())
        entry.done()
    parts.waivers += _waivers(table, name)
    table.done()


def _applies(entry: Table, name: TemplateName) -> bool:
    """Read an entry's ``when`` filter: every key it names must match one of its words."""
    when = entry.table("when")
    cell = {"release": name.version, "arch": name.arch, "set": name.set}
    wanted = {key: when.one_or_more(key) for key in cell}
    when.done()
    return all(not words or cell[key] in words for key, words in wanted.items())


def _tree_file(entry: Table) -> TreeFile:
    path = entry.take("path", str)
    if not path.startswith("/") or ".." in path.split("/") or path.endswith("/"):
        raise entry.error("path", f"must be an absolute path inside the tree, not {path!r}")
    mode = entry.take("mode", str, "0644")
    if not re.fullmatch("[0-7]{3,4}", mode):
        raise entry.error("mode", f"must be octal digits like '0644', not {mode!r}")
    return TreeFile(path=path, content=entry.take("content", str), mode=int(mode, 8))


def _script(entry: Table) -> Script:
    stage = entry.take("at", str)
    if stage not in (stages := [stage.value for stage in Stage]):
        raise entry.error("at", f"must be one of {', '.join(stages)}, not {stage!r}")
    return Script(stage=Stage(stage), text=entry.take("run", str))


def _waivers(table: Table, name: TemplateName) -> Iterator[Waiver]:
    for entry in table.tables("waive"):
        wanted, rule, reason = (
            _applies(entry, name),
            entry.take("rule", str),
            entry.take("reason", str),
        )
        if rule not in RULES:
            raise entry.error("rule", f"{rule!r} is no rule; `vztmpl lint --list` shows them")
        if not reason.strip():
            raise entry.error("reason", "must say why the rule may be broken")
        waiver = Waiver(rule=rule, reason=reason, paths=entry.strings("paths"))
        entry.done()
        if wanted:
            yield waiver


def _words(table: Table) -> dict[str, str]:
    return {key: table.take(key, str) for key in table.keys()}  # noqa: SIM118 - a Table is no dict


def _read(path: Path) -> Table:
    try:
        return Table(tomllib.loads(path.read_text()), path)
    except FileNotFoundError as error:
        raise ConfigError(path, "include", "there is no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "syntax", str(error)) from error
    except RecursionError as error:
        raise ConfigError(path, "syntax", "is nested too deeply") from error


def _unknown(folder: Path, text: str) -> NotFoundError:
    from difflib import get_close_matches

    known = names(folder)
    near = get_close_matches(text, known, 3) or known
    return NotFoundError(f"no recipe makes {text!r}", hint=f"there is {', '.join(near)}")
