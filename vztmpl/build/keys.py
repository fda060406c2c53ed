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


def make_keyring(key_files: list[Path], folder: Path) -> None:
    """Make a gpg home folder that knows these keys, and holds each of them for genuine."""
    folder.mkdir(mode=0o700)
    (folder / "pubring.gpg").touch()  # the form that pacman looks for
    gpg: list[str | Path] = ["gpg", "--homedir", folder, "--batch", "--quiet", "--no-autostart"]
    run([*gpg, "--import", *key_files])
    listed = run([*gpg, "--with-colons", "--fingerprint"]).splitlines()
    primary = [
        line.split(":")[9]
        for before, line in pairwise(listed)
        if before.startswith("pub:") and line.startswith("fpr:")
    ]
    run([*gpg, "--import-ownertrust"], stdin="".join(f"{print_}:6:\n" for print_ in primary))
