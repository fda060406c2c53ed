"""Reading the entries of a recipe file, and of the pieces it includes, into parts.

Every entry is read and checked, whether its ``when`` filter lets it through or not.
"""

import re
from collections.abc import Callable
from pathlib import Path

from vztmpl.build.cell import Cell, content, matching, words
from vztmpl.build.lint_rules import RULES
from vztmpl.build.origins import repository, source
from vztmpl.build.parts import Parts, Script, Stage, TreeFile, User, as_text
from vztmpl.build.rules import Waiver
from vztmpl.table import Table

_MODE = re.compile("[0-7]{3,4}")
_ACCOUNT = re.compile("[a-z_][a-z0-9_-]{0,31}")
_OWNER = re.compile("[a-z0-9_-]+(:[a-z0-9_-]+)?")
_PACKAGE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@:+._*?=~^-]*")
_SERVICE = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@:._\\-]*")
_LOCALE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9-]+)?(@[a-z]+)?")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_MAX_TIMEOUT_SECONDS = 86400
_MAX_UID = 65534  # a VE has 65536 ids; the last two mean nobody


def collect(table: Table, folder: Path, cell: Cell, parts: Parts) -> None:
    """Add what one file says to ``parts``; ``folder`` is where its relative paths begin."""
    cell.variables.update(words(table.table("variables")))
    parts.metadata.update(words(table.table("metadata")))
    parts.locale = matching(table, "locale", _LOCALE, "en_US.UTF-8") or parts.locale
    parts.timezone = matching(table, "timezone", _TIMEZONE, "Europe/Berlin") or parts.timezone
    for key, read in _READERS.items():
        for entry in table.tables(key):
            wanted, found = cell.lets_through(entry), read(entry, folder, cell)
            entry.done()
            if wanted:
                _add(parts, found)
    table.done()


def _add(parts: Parts, found: Parts) -> None:
    for name in Parts.__slots__:
        value = getattr(found, name)
        if isinstance(value, list):
            getattr(parts, name).extend(value)


def _packages(entry: Table, _folder: Path, _cell: Cell) -> Parts:
    install = _names(entry, "install", _PACKAGE, "package")
    return Parts(
        packages=install,
        base=install if entry.take("base", bool, default=False) else [],
        remove=_names(entry, "remove", _PACKAGE, "package"),
    )


def _files(entry: Table, folder: Path, cell: Cell) -> Parts:
    path = entry.take("path", str)
    if not path.startswith("/") or ".." in path.split("/") or path.endswith("/"):
        raise entry.error("path", f"must be an absolute path inside the tree, not {path!r}")
    mode = matching(entry, "mode", _MODE, "0644")
    owner = matching(entry, "owner", _OWNER, "user:group")
    templated = entry.take("template", bool, default=False)
    text, beside = _either(entry, "content", "source")
    found = _copied(entry, folder / beside, path) if beside else [(path, text, "0644")]
    files = [
        TreeFile(
            path=name,
            content=cell.expanded(entry, text) if templated else text,
            mode=int(mode or own_mode, 8),
            owner=owner,
        )
        for name, text, own_mode in found
    ]
    return Parts(files=files)


def _copied(entry: Table, source: Path, path: str) -> list[tuple[str, str, str]]:
    """Read a file, or all files of a folder, as (path in the tree, content, mode)."""
    if not source.exists():
        raise entry.error("source", f"there is no {source}")
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    return [
        (
            path if file == source else f"{path}/{file.relative_to(source)}",
            as_text(content(entry, "source", file)),
            "0755" if file.stat().st_mode & 0o100 else "0644",
        )
        for file in files
        if not file.is_dir()
    ]


def _user(entry: Table, _folder: Path, _cell: Cell) -> Parts:
    uid = entry.take("uid", int, -1)
    user = User(
        name=entry.take("name", str),
        uid=None if uid == -1 else uid,
        groups=tuple(_names(entry, "groups", _ACCOUNT, "group")),
        shell=entry.take("shell", str, "/bin/sh"),
        sudo=entry.take("sudo", bool, default=False),
    )
    if not _ACCOUNT.fullmatch(user.name):
        raise entry.error("name", f"must be like 'admin', not {user.name!r}")
    if not -1 <= uid < _MAX_UID:
        raise entry.error("uid", f"must be below {_MAX_UID}, not {uid}: a VE has no more ids")
    if not user.shell.startswith("/"):
        raise entry.error("shell", f"must be an absolute path, not {user.shell!r}")
    return Parts(users=[user])


def _services(entry: Table, _folder: Path, _cell: Cell) -> Parts:
    return Parts(
        mask=_names(entry, "mask", _SERVICE, "service"),
        enable=_names(entry, "enable", _SERVICE, "service"),
        disable=_names(entry, "disable", _SERVICE, "service"),
    )


def _script(entry: Table, folder: Path, _cell: Cell) -> Parts:
    stage = entry.take("at", str)
    if stage not in (stages := [stage.value for stage in Stage]):
        raise entry.error("at", f"must be one of {', '.join(stages)}, not {stage!r}")
    seconds = entry.take("timeout", int, 600)
    if not 0 < seconds <= _MAX_TIMEOUT_SECONDS:
        raise entry.error("timeout", f"must be 1 to {_MAX_TIMEOUT_SECONDS} seconds, not {seconds}")
    text, beside = _either(entry, "run", "file")
    script = Script(
        stage=Stage(stage),
        text=as_text(content(entry, "file", folder / beside)) if beside else text,
        timeout_seconds=seconds,
        network=entry.take("network", bool, default=False),
    )
    return Parts(scripts=[script])


def _waiver(entry: Table, _folder: Path, _cell: Cell) -> Parts:
    waiver = Waiver(
        rule=entry.take("rule", str),
        reason=entry.take("reason", str),
        paths=entry.strings("paths"),
    )
    if waiver.rule not in RULES:
        raise entry.error("rule", f"{waiver.rule!r} is no rule; `vztmpl lint --list` shows them")
    if not waiver.reason.strip():
        raise entry.error("reason", "must say why the rule may be broken")
    return Parts(waivers=[waiver])


def _either(entry: Table, inline: str, beside: str) -> tuple[str, str]:
    """Take exactly one of two keys: a text, or the path of a file that holds it."""
    if {inline, beside} <= set(entry.keys()):
        raise entry.error(beside, f"excludes `{inline}`: give one of them")
    if path := entry.take(beside, str, ""):
        entry.take(inline, str, "")
        return "", path
    return entry.take(inline, str), ""


def _names(entry: Table, key: str, pattern: re.Pattern[str], what: str) -> list[str]:
    names = entry.strings(key)
    if wrong := next((name for name in names if not pattern.fullmatch(name)), None):
        raise entry.error(key, f"{wrong!r} is not the name of a {what}")
    return [*names]


_READERS: dict[str, Callable[[Table, Path, Cell], Parts]] = {
    "repositories": repository,
    "source": source,
    "packages": _packages,
    "files": _files,
    "users": _user,
    "services": _services,
    "scripts": _script,
    "waive": _waiver,
}
