"""Where a cached template came from, and what was proven of it: CACHE/NAME.origin."""

import json
from pathlib import Path
from typing import NamedTuple

from vztmpl.files import write_text


class Origin(NamedTuple):
    """What this node knows of a cached template that its manifest can't say."""

    source: str = ""
    """Name of the remote, or the file or URL that was imported."""
    proof: str = "signature"
    """``signature``; of an import ``sha256``, ``sha512``, ``foreign signature`` or ``none``."""
    signer: str = ""
    """Fingerprint of the key, where there is a signature."""
    fetched: str = ""
    archive_bytes: int = 0
    """Of the archive as it is here; 0 when it is the one that the manifest names."""

    @classmethod
    def load(cls, path: Path) -> "Origin":
        """Read the file; what is missing or damaged says nothing."""
        try:
            value = json.loads(path.read_bytes())
            known = {name: value[name] for name in cls._fields if name in value}
            return cls(**known)
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the file."""
        write_text(path, json.dumps(self._asdict(), indent=1) + "\n")
