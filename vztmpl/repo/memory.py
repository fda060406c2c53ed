"""What a node remembers of a remote: how new its index was, who may sign it now.

It is what makes an old index, and a key that was taken back, useless to whoever replays them.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

from vztmpl.errors import ConfigError
from vztmpl.files import write_text
from vztmpl.repo.keys import Trust
from vztmpl.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that was seen of a remote."""

    given: str = ""
    """sha256 (hex) of the keys that the admin gave; others begin a new memory."""
    serial: int = 0
    """Of the newest index, 0 before the first."""
    signer: str = ""
    """Who signed that index."""
    url: str = ""
    """Where it came from."""
    version: str = ""
    """What that server calls it (ETag or date)."""
    checked: str = ""
    """When the remote last said that it is the newest."""
    keys: str = ""
    keys_version: int = 0
    dropped: tuple[str, ...] = ()

    @classmethod
    def begin(cls, keys: bytes, digest: str) -> Self:
        """Begin with the keys that the admin gave."""
        return cls(given=digest, keys=keys.decode(errors="surrogateescape"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read it from a file; an empty one when there is none, ConfigError when it is damaged."""
        try:
            table = Table(json.loads(path.read_text()), path)
            found = {
                field.name: table.take(field.name, str if field.type is str else int)
                for field in fields(cls)
                if field.name != "dropped"
            }
            return cls(**found, dropped=table.strings("dropped"))  # type: ignore[arg-type]
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, ConfigError) as error:
            hint = f"remove {path}, or remove the remote and add it again"
            raise ConfigError(path, "content", str(error), hint=hint) from error

    def save(self, path: Path) -> None:
        """Replace the file."""
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def trust(self) -> Trust:
        """The keys that count now."""
        return Trust(
            keys=self.keys.encode(errors="surrogateescape"),
            version=self.keys_version,
            dropped=frozenset(self.dropped),
        )

    def after(self, trust: Trust) -> Self:
        """Return the memory after newer lists of keys.

        What a key said that is now dropped counts no more: it may have named a serial that no
        honest index ever reaches.
        """
        return replace(
            self,
            keys=trust.keys.decode(errors="surrogateescape"),
            keys_version=trust.version,
            dropped=tuple(sorted(trust.dropped)),
            serial=trust.index_serial if self.signer in trust.dropped else self.serial,
            version="" if self.signer in trust.dropped else self.version,
        )
