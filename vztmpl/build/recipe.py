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
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vztmpl.build.cell import Cell, words
from vztmpl.build.parts import Parts
from vztmpl.build.pieces import collect
from vztmpl.errors import ConfigError, NotFoundError, UsageError
from vztmpl.table import Lines, Table
from vztmpl.template.name import TemplateName

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_MIRROR = re.compile(r"[a-z][a-z+-]*:[^\s\x00-\x1f]+")


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
            architectures=words(table.table("architectures")),
            suites=words(table.table("releases")),
            sets=table.strings("sets"),
        )
        for key, said in (("architectures", matrix.architectures), ("releases", matrix.suites)):
            if wrong := next((word for word in said.values() if not _WORD.fullmatch(word)), None):
                raise table.error(key, f"{wrong!r} is not a distribution's word for one")
        if matrix.mirror and not _MIRROR.fullmatch(matrix.mirror):
            raise table.error("mirror", f"must be a URL like https://…, not {matrix.mirror!r}")
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


def resolve(folder: Path, text: str, *, mirror: str = "", pieces: Path | None = None) -> Recipe:
    """Return what the recipes in ``folder`` say of the template called ``text``.

    An included piece that is not beside the recipe is looked for in the folder ``pieces``.
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
    cell = _cell(matrix, name, mirror)
    parts = Parts()
    _include(table, path, cell, parts, pieces=pieces or folder, including=(path.resolve(),))
    return Recipe(
        name=name,
        description=cell.filled(table, "description", matrix.description),
        bootstrapper=matrix.bootstrapper,
        suite=cell.words["suite"],
        arch=cell.words["native_arch"],
        mirror=cell.words["mirror"],
        parts=parts,
    )


def _cell(matrix: _Matrix, name: TemplateName, mirror: str) -> Cell:
    filters = {"release": name.version, "arch": name.arch, "set": name.set}
    return Cell(
        filters=filters,
        words={
            "os": name.os,
            "version": name.version,
            "suite": matrix.suites[name.version],
            "arch": name.arch,
            "native_arch": matrix.architectures[name.arch],
            "set": name.set,
            "mirror": (mirror or matrix.mirror).rstrip("/"),
        },
    )


def _include(
    table: Table,
    path: Path,
    cell: Cell,
    parts: Parts,
    *,
    pieces: Path,
    including: tuple[Path, ...],
) -> None:
    for included in table.strings("include"):
        beside = (path.parent / included).resolve()
        piece = beside if beside.exists() else (pieces / included).resolve()
        if not piece.is_file():
            raise table.error("include", f"there is no {beside}")
        if piece in including:
            raise table.error("include", f"{included} includes itself")
        _include(_read(piece), piece, cell, parts, pieces=pieces, including=(*including, piece))
    collect(table, path.parent, cell, parts)


def _read(path: Path) -> Table:
    try:
        text = path.read_text()
        return Table(tomllib.loads(text), path, lines=Lines(text))
    except OSError as error:
        raise ConfigError(path, "file", f"can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "syntax", str(error)) from error
    except RecursionError as error:
        raise ConfigError(path, "syntax", "is nested too deeply") from error


def _unknown(folder: Path, text: str) -> NotFoundError:
    from difflib import get_close_matches

    known = names(folder)
    near = get_close_matches(text, known, 3) or known
    return NotFoundError(f"no recipe makes {text!r}", hint=f"there is {', '.join(near)}")
