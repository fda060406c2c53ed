"""The keys of recipes, as the files and keyrings that package managers want."""

from itertools import pairwise
from pathlib import Path

from vztmpl.build.parts import Key, as_bytes
from vztmpl.build.recipe import Recipe
from vztmpl.run import run


def require_keys(recipe: Recipe) -> None:
    """Refuse a recipe whose keys are not there; ConfigError says where they would have to be."""
    keys = [origin.key for origin in recipe.parts.repositories]
    for key in (*keys, *(origin.key for origin in recipe.parts.sources)):
        if key:
            key.require(recipe.name)


def write_key(key: Key, folder: Path, name: str) -> Path:
    """Put a key into a file below ``folder``; return the file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}{key.suffix}"
    path.write_bytes(as_bytes(key.content))
    return path


def write_keyring(key: Key, folder: Path, name: str) -> Path:
    """Put a key into a binary file below ``folder``, as gpgv wants it; return the file."""
    path = write_key(key, folder, name)
    if path.suffix != ".asc":
        return path
    binary = path.with_suffix(".gpg")
    run(["gpg", "--batch", "--no-options", f"--output={binary}", "--dearmor", path])
    return binary


def trust(key_file: Path, home: Path) -> None:
    """Let the gpg home folder ``home`` know some keys, and hold each of them for genuine."""
    (home / "pubring.gpg").touch()  # the form that pacman looks for
    gpg: list[str | Path] = ["gpg", "--homedir", home, "--batch", "--quiet", "--no-autostart"]
    listed = run([*gpg, "--with-colons", "--show-keys", key_file]).splitlines()
    primary = [
        line.split(":")[9]
        for before, line in pairwise(listed)
        if before.startswith("pub:") and line.startswith("fpr:")
    ]
    run([*gpg, "--import", key_file])
    run([*gpg, "--import-ownertrust"], stdin="".join(f"{print_}:6:\n" for print_ in primary))
