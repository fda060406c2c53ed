"""What package managers mean by what they say last: unverified, out of reach, or not there.

They exit with the same status for all three, and each of them asks for something else: never to be
tried again, to be tried later, to be written otherwise.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from vztmpl.errors import (
    CommandError,
    NetworkError,
    NotFoundError,
    VerificationError,
    VztmplError,
)

_SAYS: tuple[tuple[type[VztmplError], str, str], ...] = (
    (
        VerificationError,
        r"NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|is expired|not valid yet"  # apt
        r"|Hash Sum mismatch"
        r"|signed by unknown key"  # debootstrap
        r"|signature from .* is invalid|key .* is unknown"  # pacman
        r"|checksum doesn't match|signature verification|GPG check FAILED"  # dnf
        r"|Signature verification failed",  # zypper
        "the repository's key, the clock or the mirror is not right; nothing of it is used",
    ),
    (
        NetworkError,
        r"Could not (resolve|connect)|[Cc]ouldn't connect|[Ff]ailed to connect|timed out"
        r"|Temporary failure|Connection (failed|refused|reset)|Failed getting release file"
        r"|no such host|connection refused",
        "see whether the mirror answers; --mirror URL names another one",
    ),
    (
        NotFoundError,
        r"Unable to locate package|no installation candidate|target not found"
        r"|No match for argument|No provider of|no such package|manifest unknown",
        "the repositories do not have it; it may have another name in this release",
    ),
)


@contextmanager
def explained() -> Iterator[None]:
    """Turn a failed package manager into the error that it means; others pass as they are."""
    try:
        yield
    except CommandError as error:
        raise _meaning(error) from error


def _meaning(error: CommandError) -> VztmplError:
    for kind, pattern, hint in _SAYS:
        for line in error.tail.splitlines():
            if re.search(pattern, line):
                program = next((word for word in error.argv if word in _PROGRAMS), error.argv[0])
                return kind(f"{program}: {line.strip()}", hint=hint)
    return error


_PROGRAMS = (
    "apk", "apt-get", "debootstrap", "dnf", "mmdebstrap", "pacman", "pacstrap", "skopeo", "zypper",
)  # fmt: skip
