"""Programs of the host that only some bootstrappers need, and how Debian calls their packages."""

import shutil

from vztmpl.errors import VztmplError

_PACKAGES = {
    "debootstrap": "debootstrap",
    "dnf": "dnf",
    "pacman": "pacman-package-manager",
    "pacstrap": "arch-install-scripts",
    "rpm": "rpm",
    "skopeo": "skopeo",
    "umoci": "umoci",
    "zypper": "zypper",
}


def require_programs(*names: str) -> None:
    """Refuse to begin while one of these programs is not installed."""
    if missing := [name for name in names if not shutil.which(name)]:
        packages = " ".join(_PACKAGES[name] for name in missing)
        raise VztmplError(f"{missing[0]} is not installed", hint=f"apt-get install {packages}")
