"""The lock file: what a template was made of, exactly, so that it can be made again.

``NAME.lock`` is JSON with one package a line, so that a diff of two reads well. The manifest
holds its sha256; the signature of the manifest covers it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from vztmpl.build.package import Package, Resolved
from vztmpl.errors import ConfigError, NotFoundError
from vztmpl.table import Table

FORMAT = 1
_MAX_BYTES = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What one build of a template was made of."""

    name: str
    key: str
    """sha256 (hex) over all that can change the template: it was built when this is the same."""
    recipe: str
    """sha256 (hex) of the resolved recipe."""
    mirror: str
    """The mirror that was asked for, if one was."""
    resolved: Resolved

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock file; ConfigError when it is not one, NotFoundError when there is none."""
        try:
            with path.open("rb") as file:
                value = json.loads(file.read(_MAX_BYTES))
        except FileNotFoundError as error:
            raise NotFoundError(f"{path}: no such lock file") from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(path, "syntax", "is not JSON") from error
        if not isinstance(value, dict):
            raise ConfigError(path, "syntax", "is not a JSON object")
        return cls._from_table(Table(value, path))

    @classmethod
    def _from_table(cls, table: Table) -> Self:
        if (version := table.take("format", int)) != FORMAT:
            raise table.error("format", f"is {version}; this vztmpl reads {FORMAT}")
        lock = cls(
            name=table.take("name", str),
            key=table.take("key", str),
            recipe=table.take("recipe", str),
            mirror=table.take("mirror", str),
            resolved=Resolved(
                epoch=table.take("epoch", int),
                sources=table.strings("sources"),
                layers=tuple(_layers(table)),
            ),
        )
        table.done()
        return lock

    def to_json(self) -> bytes:
        """Return the bytes of the file."""
        fields = {
            "format": FORMAT,
            "name": self.name,
            "key": self.key,
            "recipe": self.recipe,
            "mirror": self.mirror,
            "epoch": self.resolved.epoch,
            "sources": self.resolved.sources,
        }
        lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()]
        packages = (
            f"  {json.dumps({'layer': number, **asdict(package)})}"
            for number, layer in enumerate(self.resolved.layers)
            for package in layer
        )
        lines += [' "packages": [\n' + ",\n".join(packages) + "\n ]"]
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _layers(table: Table) -> Iterator[tuple[Package, ...]]:
    layers: dict[int, list[Package]] = {}
    for entry in table.tables("packages"):
        layer = entry.take("layer", int)
        words = {word: entry.take(word, str, "") for word in ("version", "arch", "sha256", "url")}
        if not _SHA256.fullmatch(words["sha256"]):
            raise entry.error("sha256", "is not a sha256 in hex")
        layers.setdefault(layer, []).append(Package(name=entry.take("name", str), **words))
        entry.done()
    return (tuple(layers[number]) for number in sorted(layers))
