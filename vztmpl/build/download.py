"""Fetching the one large file that an imported file system is, checked before it is used."""

import hashlib
from errno import ENOSPC
from pathlib import Path

from vztmpl.build.parts import Source, as_bytes
from vztmpl.errors import NetworkError, NotFoundError, VerificationError
from vztmpl.progress import Progress
from vztmpl.template.signature import verify_detached

_MAX_BYTES = 8 << 30
_MAX_SIGNATURE_BYTES = 1 << 20
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60


def fetch(source: Source, folder: Path, progress: Progress) -> Path:
    """Return a file that is exactly what ``source`` pins; one from a URL is put into ``folder``.

    VerificationError when it is another one, NetworkError when it can't be had.
    """
    file = _local(source.url, folder / "image", _MAX_BYTES, progress)
    if source.sha256:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != source.sha256:
            raise VerificationError(
                f"{source.url}: its sha256 is {found}, not the {source.sha256} of the recipe",
                hint="the file was altered, or its publisher replaced it: pin the new one",
            )
    if source.signature and source.key:
        signature = _local(source.signature, folder / "signature", _MAX_SIGNATURE_BYTES, progress)
        keys = as_bytes(source.key.content)
        verify_detached(file, signature.read_bytes(), keys, source.url)
    return file


def _local(url: str, file: Path, max_bytes: int, progress: Progress) -> Path:
    if not url.startswith(("http://", "https://")):
        path = Path(url.removeprefix("file://"))
        if not path.is_file():
            raise NotFoundError(f"there is no {path}", hint="the recipe's `url` names it")
        return path
    _download(url, file, max_bytes, progress)
    return file


def _download(url: str, file: Path, max_bytes: int, progress: Progress) -> None:
    from http.client import HTTPException
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=_TIMEOUT_SECONDS) as answer, file.open("wb") as out:  # noqa: S310
            promised = int(answer.headers.get("Content-Length") or 0)
            progress.phase(f"fetching {url.rpartition('/')[2]}", promised)
            while chunk := answer.read(_CHUNK):
                out.write(chunk)
                progress.advance(len(chunk))
                if out.tell() > max_bytes:
                    raise VerificationError(f"{url} is larger than {max_bytes} bytes")
            if out.tell() < promised:
                raise NetworkError(f"{url}: the connection ended before the file did")
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, OSError) and error.errno == ENOSPC:
            error.filename = str(file)
            raise
        hint = "see whether the mirror answers; --mirror names another one"
        raise NetworkError(f"{url}: {error}", hint=hint) from error
