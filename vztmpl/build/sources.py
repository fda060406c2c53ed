"""Where Debian's packages come from: the host's own apt configuration, whatever form it has.

apt itself is asked, so one-line and deb822 sources, http and https, and proxies all work. A host
without apt, or without Debian sources, gives nothing, and the bootstrapper's own default counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vztmpl.build.chroot import put
from vztmpl.build.keys import write_key
from vztmpl.build.parts import Repository, TreeFile
from vztmpl.build.recipe import Recipe
from vztmpl.errors import CommandError, ConfigError
from vztmpl.run import run

_FORMAT = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"
_COPIED = (
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What apt on this host says; empty strings where it says nothing."""

    main: str = ""
    """URI of the Debian archive."""
    security: str = ""
    """URI of Debian's security archive."""
    options: tuple[tuple[str, str], ...] = ()
    """Options of apt's that reaching them may need, as (name, value)."""

    def lines(self, suite: str) -> list[str]:
        """Return one-line sources for a suite with its updates and security fixes."""
        lines = []
        if self.main:
            lines += [f"deb {self.main} {suite} main"]
            if suite != "sid":
                lines += [f"deb {self.main} {suite}-updates main"]
        if self.security and suite != "sid":
            lines += [f"deb {self.security} {suite}-security main"]
        return lines


def host_sources(kept: Path | None = None) -> Sources:
    """Ask this host's apt; in the folder ``kept`` it keeps what makes the next answer quick."""
    argv = ["apt-get", "indextargets", "--option=Dir::Cache::srcpkgcache="]
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        argv += [f"--option=Dir::Cache={kept}", "--option=Dir::Cache::pkgcache=pkgcache.bin"]
    try:
        listed = run([*argv, "--format", _FORMAT, "Created-By: Packages"])
        asked = [word for number, name in enumerate(_COPIED) for word in (f"O{number}", name)]
        options = run(["apt-config", "shell", *asked])
    except CommandError:
        return Sources()
    uris = {(origin, label): uri for origin, label, _, uri in _rows(listed)}
    return Sources(
        main=uris.get(("Debian", "Debian"), ""),
        security=uris.get(("Debian", "Debian-Security"), ""),
        options=tuple(_options(options)),
    )


def lines_of(recipe: Recipe, host: Sources, keys: Path) -> list[str]:
    """Return one-line sources for a recipe; the keys that they name are put into ``keys``.

    Repositories of the recipe take the place of the host's sources unless all are ``extra``.
    """
    lines = default_lines(recipe, host)
    for one in recipe.parts.repositories:
        signed_by = f"[signed-by={write_key(one.key, keys, one.name)}] " if one.key else ""
        components = " ".join(one.components)
        lines += [f"deb {signed_by}{one.url} {suite} {components}".rstrip() for suite in one.suites]
    return lines


def default_lines(recipe: Recipe, host: Sources) -> list[str]:
    """Return the one-line sources that the recipe's own repositories leave in use.

    None with repositories that are not ``extra``, and where nothing is known of a Debian archive.
    """
    repositories = recipe.parts.repositories
    if any(not one.extra for one in repositories):
        return []
    lines = host.lines(recipe.suite)
    if repositories and not lines:
        hint = "--mirror URL names the archive that they are beside"
        raise ConfigError(recipe.name, "repositories", "all are `extra`", hint=hint)
    return lines


def leave_sources(recipe: Recipe, tree: Path, lines: Sequence[str]) -> None:
    """Tell the tree's own apt where to install from, with keys that stand inside the tree.

    ``lines`` are the one-line sources besides; without repositories all is left as it is.
    """
    for one in recipe.parts.repositories:
        key = ""
        if one.key and not (key := _own_key(one, tree)):
            key = f"/etc/apt/keyrings/{one.name}{one.key.suffix}"
            put(tree, TreeFile(path=key, content=one.key.content, mode=0o644))
        put(
            tree,
            TreeFile(
                path=f"/etc/apt/sources.list.d/{one.name}.sources",
                content=_deb822(one, key),
                mode=0o644,
            ),
        )
    if recipe.parts.repositories:
        content = "".join(f"{line}\n" for line in lines)
        put(tree, TreeFile(path="/etc/apt/sources.list", content=content, mode=0o644))


def _own_key(repository: Repository, tree: Path) -> str:
    """Return the host's path of a keyring that the tree has too: there it is kept fresh."""
    path = repository.key.path if repository.key else ""
    return path if path.startswith("/usr/") and (tree / path[1:]).is_file() else ""


def _deb822(repository: Repository, key: str) -> str:
    return (
        f"Types: deb\nURIs: {repository.url}\nSuites: {' '.join(repository.suites)}\n"
        + (f"Components: {' '.join(repository.components)}\n" if repository.components else "")
        + (f"Signed-By: {key}\n" if key else "")
    )


def _rows(listed: str) -> list[tuple[str, str, str, str]]:
    rows = [line.split("|") for line in listed.splitlines()]
    return [(row[0], row[1], row[2], row[3].rstrip("/")) for row in rows if len(row) == 4]  # noqa: PLR2004


def _options(shell: str) -> list[tuple[str, str]]:
    """Read what ``apt-config shell`` printed: lines of O3='value'."""
    found = []
    for line in shell.splitlines():
        variable, _, value = line.partition("=")
        if variable[1:].isdigit():
            found.append((_COPIED[int(variable[1:])], value.strip("'")))
    return found
