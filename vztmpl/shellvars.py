"""OpenVZ's configuration files: lines of ``NAME="value"`` that a shell can also source.

Source of the format: vzctl's ``src/lib/config.c``. A value runs to the last double quote of its
line; of a name given twice the last one counts, as in the shell and in libvirt.
"""

from collections.abc import Mapping
from pathlib import Path

from vztmpl.errors import ConfigError

MAX_BYTES = 1 << 20


def parse(text: str) -> dict[str, str]:
    """Return the variables of a file; lines that are not assignments are passed over."""
    found = {}
    for line in text.splitlines():
        name, value = _assignment(line)
        if name:
            found[name] = value
    return found


def read(path: Path) -> dict[str, str]:
    """Return the variables of the file ``path``; FileNotFoundError when there is none."""
    return parse(read_text(path))


def read_text(path: Path) -> str:
    """Return the text of a configuration file, whatever bytes stand in it."""
    with path.open(errors="surrogateescape") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ConfigError(path, "size", f"is over {MAX_BYTES} bytes")
    return text


def updated(text: str, changes: Mapping[str, str | None]) -> str:
    """Return the text with variables set, or removed where the value is None.

    Every other line stays as it is: comments, blank lines, unknown names.
    """
    left = dict(changes)
    lines = []
    for line in text.splitlines():
        name, _ = _assignment(line)
        if name not in changes:
            lines.append(line)
        elif name in left and (value := left.pop(name)) is not None:
            lines.append(_line(name, value))
    lines += [_line(name, value) for name, value in left.items() if value is not None]
    return "".join(f"{line}\n" for line in lines)


def _line(name: str, value: str) -> str:
    return f'{name}="{value}"'


def _assignment(line: str) -> tuple[str, str]:
    name, equals, value = line.strip().partition("=")
    if not equals or not name.replace("_", "a").isalnum():
        return "", ""
    if value.startswith('"'):
        value = value[1:].rpartition('"')[0] if '"' in value[1:] else value[1:]
    return name, value
