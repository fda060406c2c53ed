"""Where everything is on this node: ``vz.conf`` and ``VZ_SYSROOT`` turned into paths.

``VZ_SYSROOT=DIR`` puts the whole set below DIR, so tests and several instances on one machine
stay apart: their cgroups and interfaces carry a tag made from DIR. Only the command line calls
``load``; everything below it is given the Node.
"""

import os
from pathlib import Path
from typing import NamedTuple

from vztmpl import shellvars
from vztmpl.errors import ConfigError

DATA = Path(__file__).parent / "data"
CHECKOUT = Path(__file__).parent.parent
FIRST_LOCAL_ID = 0x20000000  # inside the range that systemd's UIDS-GIDS.md gives to containers


class Node(NamedTuple):
    """The paths of one instance, and the defaults from its vz.conf."""

    sysroot: Path
    """What all other paths start with; ``/`` unless VZ_SYSROOT is set."""
    etc: Path
    """vz.conf, conf/, names/, trust/, remotes.d/."""
    cache: Path
    """Verified templates: NAME.tar.zst, NAME.json, NAME.json.asc."""
    bases: Path
    """Templates unpacked once, by digest."""
    private_pattern: str
    """VE_PRIVATE with ``$VEID`` in it."""
    root_pattern: str
    """VE_ROOT with ``$VEID`` in it."""
    locks: Path
    run: Path
    """State of running VEs; gone after a reboot unless VZ_SYSROOT moves it."""
    state: Path
    """What lasts and is ours alone: the signing keyring, build trees."""
    tag: str
    """Empty, or what keeps this instance's cgroups and interfaces apart from others'."""
    defaults: dict[str, str]
    """All variables of vz.conf."""

    def setting(self, name: str, default: str = "") -> str:
        """Return a variable of vz.conf."""
        return self.defaults.get(name, default)

    def below(self, path: str) -> Path:
        """Put a path from a configuration file below VZ_SYSROOT, unless it stands there already."""
        return _below(self.sysroot, path)


def load() -> Node:
    """Read vz.conf, if there is one, and return this node's paths."""
    sysroot = Path(os.environ.get("VZ_SYSROOT") or "/")
    if not sysroot.is_absolute():
        raise ConfigError("VZ_SYSROOT", str(sysroot), "must be an absolute path")
    etc = sysroot / "etc/vz"
    try:
        defaults = shellvars.read(etc / "vz.conf")
    except FileNotFoundError:
        defaults = {}

    def path(variable: str, default: str) -> Path:
        return _below(sysroot, defaults.get(variable) or default)

    template = path("TEMPLATE", "/vz/template")
    return Node(
        sysroot=sysroot,
        etc=etc,
        cache=template / "cache",
        bases=template / "base",
        private_pattern=str(path("VE_PRIVATE", "/vz/private/$VEID")),
        root_pattern=str(path("VE_ROOT", "/vz/root/$VEID")),
        locks=path("LOCKDIR", "/vz/lock"),
        run=sysroot / "run/vztmpl",
        state=sysroot / "var/lib/vztmpl",
        tag="" if sysroot == Path("/") else _short_hash(str(sysroot)),
        defaults=defaults,
    )


def shipped(folder: str) -> Path:
    """Return a folder that comes with vztmpl: ``recipes`` or ``etc/vz``."""
    installed = DATA / folder
    return installed if installed.is_dir() else CHECKOUT / folder


def _below(sysroot: Path, path: str) -> Path:
    return Path(path) if Path(path).is_relative_to(sysroot) else sysroot / path.lstrip("/")


def _short_hash(text: str) -> str:
    from zlib import crc32

    return f"{crc32(text.encode()):08x}"
