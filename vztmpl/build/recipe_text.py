"""A resolved recipe as text, for people and programs that look at it."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from vztmpl.build.parts import as_bytes
from vztmpl.build.recipe import Recipe

_EMPTY: tuple[object, ...] = ("", [], (), {}, None)
_PLAIN_KEY = re.compile("[A-Za-z0-9_-]+")
_WIDE = 80
_BLOCK = re.compile(r"(?!.*''')[^\x00-\x08\x0b-\x1f\x7f]*\n[^\x00-\x08\x0b-\x1f\x7f]*", re.DOTALL)


def described(recipe: Recipe) -> dict[str, object]:
    """Return all that a recipe says, as JSON can hold it; keys and binary files by their sha256."""
    parts: dict[str, object] = asdict(recipe.parts)
    said = {
        "name": str(recipe.name),
        "description": recipe.description,
        "bootstrapper": recipe.bootstrapper,
        "suite": recipe.suite,
        "arch": recipe.arch,
        "mirror": recipe.mirror,
        "digest": recipe.digest,
        **parts,
    }
    return {key: _plain(value) for key, value in said.items() if value not in _EMPTY}


def to_toml(said: Mapping[str, object]) -> str:
    """Return ``described`` as TOML, values first, then tables."""
    values, tables = [], []
    for key, value in said.items():
        if isinstance(value, dict):
            tables.append(f"\n[{key}]\n{_lines(value)}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"\n[[{key}]]\n{_lines(entry)}" for entry in value]
        else:
            values.append(_lines({key: value}))
    return "".join([*values, *tables])


def _plain(value: object) -> object:
    """Leave out what is empty, and put digests for what is no text."""
    if isinstance(value, dict):
        if "content" in value and "path" in value and "mode" not in value:  # a key
            content = value["content"]
            value = {"path": value["path"], "sha256": _sha256(content) if content else ""}
        if "mode" in value:
            value = {**value, "mode": f"{value['mode']:04o}"}
        return {k: _plain(v) for k, v in value.items() if v is not False and v not in _EMPTY}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, str) and not value.isascii() and _is_binary(value):
        return f"sha256:{_sha256(value)}"
    return value


def _is_binary(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _sha256(text: object) -> str:
    return hashlib.sha256(as_bytes(str(text))).hexdigest()


def _lines(table: Mapping[str, object]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key)


def _value(value: object) -> str:
    if isinstance(value, str) and _BLOCK.fullmatch(value):
        return f"'''\n{value}'''"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_value(entry)}" for key, entry in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        entries = [_value(entry) for entry in value]
        flat = f"[{', '.join(entries)}]"
        high = "".join(f"    {entry},\n" for entry in entries)
        return flat if len(flat) < _WIDE else f"[\n{high}]"
    return json.dumps(value)
