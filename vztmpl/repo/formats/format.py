"""What a format is: which forms it is made of, small files for each build, and its own files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.outputs import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes one format; one small module each."""

    forms: tuple[Form, ...] = ()
    """What it needs beside the tar.zst."""
    parts: Mapping[str, Callable[[Build], bytes]] = field(default_factory=dict)
    """Small files beside the forms, made once for each build, by file name."""
    outputs: Callable[[Sequence[Build]], Iterator[Output]]
    """Returns its files for all builds that are published, the index of them last.

    Builds come by name, and by serial within it.
    """
