"""Stand-ins for the outside world: programs on PATH, tiny templates, a web server that errs."""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import IO

import pytest

from vztmpl.template import archive
from vztmpl.template.index import Index
from vztmpl.template.manifest import Manifest, TemplateFiles
from vztmpl.template.signature import Keyring, verify_clear

EPOCH = 1_700_000_000
NAME = "tiny-1-x86_64"
OLD, NEW = "20260101T0000Z", "20260202T0000Z"

_SCRIPT = """#!/bin/sh
printf '%s\\036' "$@" >> {log}; printf '\\037' >> {log}
{body}
"""


@dataclass
class FakeProgram:
    log: Path

    @property
    def calls(self) -> list[list[str]]:
        text = self.log.read_text() if self.log.exists() else ""
        return [call.split("\036")[:-1] for call in text.split("\037")[:-1]]


def fake_program(
    monkeypatch: pytest.MonkeyPatch, where: Path, name: str, body: str = "exit 0"
) -> FakeProgram:
    """Put a program called ``name`` first on PATH; it notes its arguments, then runs ``body``."""
    log, program = where / f"{name}.log", where / name
    program.write_text(_SCRIPT.format(log=log, body=body))
    program.chmod(0o755)
    if str(where) not in os.environ["PATH"].split(":"):
        monkeypatch.setenv("PATH", str(where), prepend=":")
    return FakeProgram(log)


@dataclass
class Signer:
    """A keyring with one key, as a publisher has it."""

    keyring: Keyring
    fingerprint: str
    public_key: bytes

    @classmethod
    def new(cls, folder: Path, name: str) -> "Signer":
        keyring = Keyring(folder)
        fingerprint = keyring.generate(name, "templates@example.org")
        return cls(keyring, fingerprint, keyring.export(fingerprint).encode())


def make_template(
    folder: Path, signer: Signer | None, *, serial: str = OLD, content: str = "hello\n"
) -> TemplateFiles:
    """Make a signed template of a few bytes."""
    tree = folder / f"tree-{serial}-{len(list(folder.glob('tree-*')))}"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/motd").write_text(content)
    (tree / "bin").symlink_to("usr/bin")
    return template_of(tree, folder, signer, serial)


def template_of(
    tree: Path,
    folder: Path,
    signer: Signer | None,
    serial: str = OLD,
    *,
    name: str = NAME,
    description: str = "a tiny one",
    packages: dict[str, str] | None = None,
) -> TemplateFiles:
    """Make a signed template of a tree."""
    files = TemplateFiles.of(folder, name)
    with files.archive.open("wb") as file:
        packed = archive.pack(tree, file, EPOCH)
    manifest = Manifest(
        name=name,
        serial=serial,
        digest=packed.digest,
        sha256=packed.sha256,
        size_bytes=packed.size_bytes,
        unpacked_bytes=packed.unpacked_bytes,
        epoch=EPOCH,
        description=description,
        packages=packages or {},
    )
    write_manifest(files, manifest.to_json(), signer)
    return files


def write_manifest(files: TemplateFiles, text: bytes, signer: Signer | None) -> None:
    files.manifest.write_bytes(text)
    if signer:
        files.signature.write_bytes(signer.keyring.sign(text, signer.fingerprint))


class SignedRepository:
    """A repository whose index a test reads, alters and signs again."""

    repository: Path
    publisher: Signer

    def index(self) -> Index:
        signed = (self.repository / "index.json.asc").read_bytes()
        return Index.parse(verify_clear(signed, self.publisher.public_key, "x")[0], "x")

    def put_index(self, index: Index, signer: Signer | None = None) -> None:
        signer = signer or self.publisher
        signed = signer.keyring.sign(index.to_json(), signer.fingerprint, clear=True)
        (self.repository / "index.json.asc").write_bytes(signed)


Fault = Callable[["_Handler"], object]
"""Answers one request in a way that it should not."""


@dataclass
class FakeServer:
    """A web server for a folder; ``faults`` says which paths go wrong, and how."""

    url: str
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    not_modified: int = 0


class _Handler(SimpleHTTPRequestHandler):
    fake: FakeServer

    def __init__(self, *args: object, fake: FakeServer, **kwargs: object) -> None:
        self.fake = fake
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.fake.asked.append(self.path)
        fault = next((f for end, f in self.fake.faults.items() if self.path.endswith(end)), None)
        with suppress(BrokenPipeError, ConnectionResetError):
            if fault:
                fault(self)
            elif Path(self.translate_path(self.path)).is_file():
                self.answer()
            else:
                super().do_GET()

    def answer(self) -> None:
        """Send a file as real servers do: with an ETag, in part when asked (RFC 9110)."""
        content = Path(self.translate_path(self.path)).read_bytes()
        tag = f'"{sha256(content).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            self.fake.not_modified += 1
            self.begin(304, ETag=tag)
            return
        wanted = self.headers.get("Range", "")
        if wanted:
            self.fake.ranges.append(wanted)
        if wanted and self.headers.get("If-Range", tag) == tag:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            part = f"bytes {first}-{len(content) - 1}/{len(content)}"
            size = len(content) - first
            self.begin(206, Content_Length=size, Content_Range=part, ETag=tag).write(
                content[first:]
            )
        else:
            self.begin(200, Content_Length=len(content), ETag=tag).write(content)

    def log_message(self, *_: object) -> None:
        pass

    def begin(self, status: int, **headers: str | int) -> IO[bytes]:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.close_connection = True
        return self.wfile  # type: ignore[return-value]


@contextmanager
def web_server(folder: Path, certificate: Path | None = None) -> Iterator[FakeServer]:
    """Serve ``folder`` on a port of this machine's own; over TLS if there is a certificate."""
    fake = FakeServer("")
    handler = partial(_Handler, directory=str(folder), fake=fake)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        if certificate:
            fake.url = fake.url.replace("http", "https")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


def answers(status: int) -> Fault:
    return lambda handler: handler.begin(status, Content_Length=0)


def endless(handler: _Handler) -> None:
    out = handler.begin(200)
    while True:
        out.write(b"x" * 65536)


def promises_more(handler: _Handler) -> None:
    handler.begin(200, Content_Length=1000).write(b"x" * 10)


def promises_less(handler: _Handler) -> None:
    """Send a file under a Content-Length that is one byte too small."""
    content = Path(handler.translate_path(handler.path)).read_bytes()
    handler.begin(200, Content_Length=len(content) - 1).write(content)


def dies_halfway(handler: _Handler) -> None:
    content = Path(handler.translate_path(handler.path)).read_bytes()
    handler.begin(200, Content_Length=len(content)).write(content[: len(content) // 2])


def says_nothing(handler: _Handler) -> None:
    handler.close_connection = True


def knows_no_ranges(handler: _Handler) -> None:
    content = Path(handler.translate_path(handler.path)).read_bytes()
    handler.begin(200, Content_Length=len(content)).write(content)


def _part(handler: _Handler) -> tuple[int, bytes]:
    content = Path(handler.translate_path(handler.path)).read_bytes()
    first = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    return first, content


def corrupts_ranges(handler: _Handler) -> None:
    """Send other bytes than those asked for, of the right number."""
    first, content = _part(handler)
    said = f"bytes {first}-{len(content) - 1}/{len(content)}"
    size = len(content) - first
    handler.begin(206, Content_Length=size, Content_Range=said).write(bytes(size))


def lies_about_ranges(handler: _Handler) -> None:
    """Send another part than the one asked for."""
    _, content = _part(handler)
    said = f"bytes 1-{len(content) - 1}/{len(content)}"
    handler.begin(206, Content_Length=len(content) - 1, Content_Range=said).write(content[1:])


def drips(handler: _Handler) -> None:
    """Send a byte now and then."""
    content = Path(handler.translate_path(handler.path)).read_bytes()
    out = handler.begin(200, Content_Length=len(content))
    for byte in content:
        out.write(bytes([byte]))
        sleep(0.05)


def drips_headers(handler: _Handler) -> None:
    """Send a header now and then, for ever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X: y\r\n")
        sleep(0.05)


def oversize_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000_000 + b"\r\n\r\n")


def sends_garbage(handler: _Handler) -> None:
    handler.wfile.write(b"what is HTTP?\r\n\r\n")
    handler.close_connection = True


def leads_to(url: str) -> Fault:
    return lambda handler: handler.begin(302, Location=url, Content_Length=0)


def alters(handler: _Handler) -> None:
    """Send a file with its last byte changed."""
    content = bytearray(Path(handler.translate_path(handler.path)).read_bytes())
    content[-1] ^= 1
    handler.begin(200, Content_Length=len(content)).write(content)


def sends(content: bytes) -> Fault:
    return lambda handler: handler.begin(200, Content_Length=len(content)).write(content)


def names_in(folder: Path) -> list[str]:
    """Name all that is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
