"""Cleaning a tree: what must not be in a template goes, what has to say nothing is emptied.

``leftovers`` is the list. It runs inside the tree, so a link in the tree can't make it touch the
host, and with no program but the shell, ``rm`` and ``sed``: a tree may have no more.
"""

from collections.abc import Iterator
from pathlib import Path

from vztmpl.build.chroot import run_inside
from vztmpl.build.leftovers import LEFTOVERS
from vztmpl.build.rules import Rule

_BEGIN = """set -eu
drop() { [ -L "$1" ] || [ ! -e "$1" ] || rm -rf -- "$1"; }
drop_files() {
  for entry in "$1"/* "$1"/.[!.]*; do
    if [ -L "$entry" ]; then :
    elif [ -d "$entry" ]; then drop_files "$entry"
    else rm -f -- "$entry"
    fi
  done
}
"""
_END = """
rm -f -- /etc/machine-id /etc/hosts /etc/fstab
: > /etc/machine-id
printf '127.0.0.1\\tlocalhost\\n::1\\t\\tlocalhost ip6-localhost ip6-loopback\\n' > /etc/hosts
printf '# no file systems to mount in a VE\\n' > /etc/fstab
day=$((SOURCE_DATE_EPOCH / 86400))
if [ -f /etc/shadow ]; then
  sed -i "s/^\\([^:]*:[^:]*\\):[0-9]*:/\\1:$day:/" /etc/shadow
fi
"""


def clean(tree: Path, epoch: int) -> None:
    """Remove what must not be packed, and empty what must be there but say nothing."""
    run_inside(tree, ["/bin/sh"], stdin=script(epoch))


def script(epoch: int) -> str:
    """Return the shell script that cleans a tree from inside."""
    removals = (line for rule in LEFTOVERS for line in _removals(rule))
    return "\n".join([_BEGIN, f"SOURCE_DATE_EPOCH={epoch}", *removals, _END])


def _removals(rule: Rule) -> Iterator[str]:
    deep = [pattern for pattern in rule.paths if pattern.endswith("/**")]
    yield from (f"drop_files {pattern.removesuffix('/**')}" for pattern in deep)
    words = " ".join(_with_hidden(pattern) for pattern in rule.paths if pattern not in deep)
    if rule.empty_is_fine:
        yield f'for entry in {words}; do drop "$entry"; done'
    else:
        yield f"rm -rf -- {words}"


def _with_hidden(pattern: str) -> str:
    """Let a star at the end match hidden files too, which the shell's own does not."""
    folder, _, last = pattern.rpartition("/")
    return f"{pattern} {folder}/.[!.]* {folder}/..?*" if last == "*" else pattern
