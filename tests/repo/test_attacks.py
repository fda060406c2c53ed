"""What a mirror, a thief or a neighbour may try, and the exit code that a user sees.

docs/threat-model.md has a row for each; tests/repo/test_keys.py and test_arrival.py have those that
need more than one node or one server.
"""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard

from tests import fakes
from tests.fakes import (
    NAME,
    NEW,
    OLD,
    FakeServer,
    Fault,
    SignedRepository,
    Signer,
    make_template,
    names_in,
    web_server,
    write_manifest,
)
from vztmpl.cli.vztmpl import main
from vztmpl.repo.publish import publish
from vztmpl.template.entry import File
from vztmpl.template.manifest import TemplateFiles

REFUSED, NETWORK = 6, 5


class Place(SignedRepository):
    """A repository with an old and a new build on a web server, and a node that knows it."""

    def __init__(self, folder: Path, first: Path, server: FakeServer, publisher: Signer) -> None:
        self.repository, self.server, self.publisher = folder / "www", server, publisher
        self.template = folder / "node/vz/template"
        shutil.copytree(first, self.repository, dirs_exist_ok=True)
        self.folder = folder

    def newest(self) -> Path:
        return self.repository / f"templates/{NAME}/{NEW}"

    def fetch(self, *options: str) -> int:
        """Fetch; when that fails the node has to have what it had before."""
        before = self.held()
        status = main(["fetch", NAME, *options])
        if status:
            assert self.held() == before
            assert not [name for name in names_in(self.template / "base") if name not in before]
        return status

    def held(self) -> dict[str, bytes]:
        files = (path for path in (self.template / "cache").glob("*") if path.is_file())
        held = {path.name: path.read_bytes() for path in files}
        return {**held, **dict.fromkeys(names_in(self.template / "base"), b"")}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, publisher: Signer) -> Path:
    folder = tmp_path_factory.mktemp("first")
    for serial in (OLD, NEW):
        (folder / serial).mkdir()
        archive = make_template(folder / serial, publisher, serial=serial, content=serial).archive
        publish(folder / "www", [archive], publisher.keyring, publisher.fingerprint)
    return folder / "www"


@pytest.fixture
def place(
    tmp_path: Path,
    first: Path,
    publisher: Signer,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    monkeypatch.setenv("VZ_SYSROOT", str(tmp_path / "node"))
    (tmp_path / "www").mkdir()
    with web_server(tmp_path / "www") as server:
        assert main(["remote", "add", "main", server.url, "--key", str(key_file)]) == 0
        yield Place(tmp_path, first, server, publisher)


def test_a_good_repository_is_fetched_from(place: Place) -> None:
    assert place.fetch() == 0


def arbitrary_file(place: Place) -> None:
    path = place.newest() / f"{NAME}.tar.zst"
    path.write_bytes(zstandard.compress(b"anything").ljust(path.stat().st_size, b"\0"))


def wrong_file(place: Place) -> None:
    """The server sends another good build of the same template."""
    old = place.repository / f"templates/{NAME}/{OLD}"
    for file in TemplateFiles.of(old, NAME).all:
        shutil.copy(file, place.newest())


def mix_and_match(place: Place) -> None:
    """The archive is of one good build, its manifest of another."""
    shutil.copy(place.repository / f"templates/{NAME}/{OLD}/{NAME}.tar.zst", place.newest())


def unsigned_index(place: Place) -> None:
    (place.repository / "index.json.asc").write_bytes(place.index().to_json())


def freeze(place: Place) -> None:
    index = place.index()
    place.put_index(replace(index, expires=datetime.now(UTC) - timedelta(seconds=1)))


def clock_in_the_past(place: Place) -> None:
    """The node's clock is behind, which is the same as an index from the future."""
    ahead = timedelta(days=400)
    index = place.index()
    place.put_index(replace(index, created=index.created + ahead, expires=index.expires + ahead))


@pytest.mark.parametrize(
    "attack",
    [arbitrary_file, wrong_file, mix_and_match, unsigned_index, freeze, clock_in_the_past],
)
@pytest.mark.parametrize("cached", ["with nothing cached", "with the old build cached"])
def test_what_is_not_what_the_publisher_signed_is_refused(
    place: Place, attack: Callable[[Place], None], cached: str
) -> None:
    if cached == "with the old build cached":
        index = place.index()
        olds = [entry for entry in index.entries if entry.serial == OLD]
        place.put_index(replace(index, entries=tuple(olds), serial=1))
        assert place.fetch() == 0
        place.put_index(index)
        shutil.rmtree(place.newest() / "none", ignore_errors=True)
        for path in place.newest().glob("since-*"):
            path.unlink()
    attack(place)
    assert place.fetch() == REFUSED


def test_rollback_an_index_older_than_the_one_seen_is_refused(place: Place) -> None:
    old = (place.repository / "index.json.asc").read_bytes()
    place.put_index(replace(place.index(), serial=place.index().serial + 1))
    assert main(["update"]) == 0
    (place.repository / "index.json.asc").write_bytes(old)
    assert place.fetch() == REFUSED
    assert main(["update", "main"]) == REFUSED
    assert main(["available"]) == 0, "what was known stays known"


ENDLESS: list[tuple[str, Fault, int]] = [
    ("index.json.asc", fakes.endless, REFUSED),
    (f"{NAME}.json", fakes.endless, REFUSED),
    (".tar.zst", fakes.endless, REFUSED),
    ("index.json.asc", fakes.oversize_headers, NETWORK),
    (".tar.zst", fakes.oversize_headers, NETWORK),
    (".tar.zst", fakes.promises_less, NETWORK),
    (".tar.zst", fakes.dies_halfway, NETWORK),
    (".tar.zst", fakes.sends_garbage, NETWORK),
    ("index.json.asc", fakes.leads_to("https://127.0.0.1:1/index.json.asc"), NETWORK),
    ("index.json.asc", fakes.leads_to("file:///etc/passwd"), NETWORK),
    ("index.json.asc", fakes.leads_to("ftp://example.org/x"), NETWORK),
    ("index.json.asc", fakes.leads_to("http://169.254.169.254/latest/meta-data"), NETWORK),
    ("index.json.asc", fakes.leads_to("http://[::1]:22/"), NETWORK),
    ("index.json.asc", fakes.leads_to("http://localhost:631/"), NETWORK),
    ("index.json.asc", fakes.leads_to("http://intranet/"), NETWORK),
]


@pytest.mark.parametrize(("path", "fault", "status"), ENDLESS)
def test_a_server_that_misbehaves_gets_nowhere(
    place: Place, path: str, fault: Fault, status: int
) -> None:
    place.server.faults[path] = fault
    assert place.fetch() == status


def test_no_flag_overrides_a_refusal(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--help"]) == 0
    assert main(["update", "--help"]) == 0
    shown = capsys.readouterr().out
    assert not [word for word in ("force", "insecure", "no-verify", "trust") if word in shown]
    arbitrary_file(place)
    assert place.fetch("--remote", "main") == REFUSED


def put_tar(place: Place, tar: bytes, *, unpacked_bytes: int = 0) -> None:
    """Publish a tar as the publisher himself would, with everything signed and true."""
    folder = place.newest()
    files = TemplateFiles.of(folder, NAME)
    packed = zstandard.compress(tar)
    manifest = {
        **json.loads(files.manifest.read_bytes()),
        "digest": sha256(tar).hexdigest(),
        "sha256": sha256(packed).hexdigest(),
        "size_bytes": len(packed),
        "unpacked_bytes": unpacked_bytes or len(tar),
    }
    files.archive.write_bytes(packed)
    write_manifest(files, json.dumps(manifest).encode(), place.publisher)
    index = place.index()
    entry = index.newest(NAME)
    assert entry
    said = {path.name: path.read_bytes() for path in files.all}
    described = {
        name: File(size_bytes=len(content), sha256=sha256(content).hexdigest())
        for name, content in said.items()
    }
    entry = replace(
        entry, files=described, deltas=(), digest=str(manifest["digest"]), size_bytes=len(packed)
    )
    place.put_index(replace(index, entries=(entry,)))


Member = tuple[str, bytes, Mapping[str, object]]


def tar_of(*members: Member) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, more in members:
            content = more.get("content", b"")
            assert isinstance(content, bytes)
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            for key, value in more.items():
                if key != "content":
                    setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


FILE, HARD, SYMBOLIC = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE


def base(place: Place) -> Path:
    (name,) = names_in(place.template / "base")
    return place.template / "base" / name


@pytest.mark.root
@pytest.mark.parametrize(
    "member",
    [
        ("./opt/sda", tarfile.BLKTYPE, {"devmajor": 8}),
        ("./etc/null", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3}),
    ],
)
def test_a_template_with_a_device_is_refused(place: Place, member: Member) -> None:
    put_tar(place, tar_of(("./opt", tarfile.DIRTYPE, {"mode": 0o755}), member))
    assert place.fetch() == REFUSED


def test_devices_below_dev_are_left_out(place: Place) -> None:
    put_tar(place, tar_of(("./dev/sda", tarfile.BLKTYPE, {"devmajor": 8}), ("./etc", FILE, {})))
    assert place.fetch() == 0
    assert "sda" not in names_in(base(place) / "dev")


def test_setuid_and_capabilities_stay_and_users_of_the_node_can_not_reach_them(
    place: Place,
) -> None:
    capabilities = {
        "SCHILY.xattr.security.capability": "\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    }
    tar = tar_of(
        ("./sudo", FILE, {"mode": 0o4755}), ("./ping", FILE, {"pax_headers": capabilities})
    )
    put_tar(place, tar)
    assert place.fetch() == 0
    assert (base(place) / "sudo").stat().st_mode & 0o7777 == 0o4755
    if os.geteuid() == 0:
        assert os.getxattr(base(place) / "ping", "security.capability")
    assert (place.template / "base").stat().st_mode & 0o777 == 0o700


def test_odd_names_are_kept_as_they_are(place: Place) -> None:
    names = ["./a\nb", "./\udcff\udcfe", "./-rf", "./ ", "./" + "x" * 255]
    put_tar(place, tar_of(*((name, FILE, {"content": b"x"}) for name in names)))
    assert place.fetch() == 0
    assert set(names_in(base(place))) >= {name[2:] for name in names}


def test_of_two_members_of_one_name_the_last_counts(place: Place) -> None:
    put_tar(place, tar_of(("./a", FILE, {"content": b"1"}), ("./a", FILE, {"content": b"22"})))
    assert place.fetch() == 0
    assert (base(place) / "a").read_bytes() == b"22"


def test_a_huge_sparse_file_takes_no_room(place: Place, tmp_path: Path) -> None:
    from vztmpl.run import run

    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree/huge").open("wb") as file:
        file.truncate(1 << 40)
    run(["tar", "--create", f"--file={tmp_path}/t.tar", f"--directory={tmp_path}/tree",
         "--sparse", "--format=pax", "."])  # fmt: skip
    put_tar(place, (tmp_path / "t.tar").read_bytes())
    assert place.fetch() == 0
    assert (base(place) / "huge").stat().st_size == 1 << 40
    assert (base(place) / "huge").stat().st_blocks < 100


def test_a_bomb_is_stopped_at_the_size_that_was_signed(place: Place) -> None:
    put_tar(place, bytes(300 << 20), unpacked_bytes=1 << 20)
    assert place.fetch() == REFUSED


OUTSIDE: list[list[Member]] = [
    [("/{out}/new", FILE, {})],
    [("../../../../{out}/new", FILE, {})],
    [("d", SYMBOLIC, {"linkname": "/{out}"}), ("d/new", FILE, {})],
    [("h", HARD, {"linkname": "/{out}/victim"}), ("h", FILE, {"content": b"evil"})],
]


@pytest.mark.parametrize("members", OUTSIDE)
def test_no_name_and_no_link_leads_out_of_the_base(
    place: Place, tmp_path: Path, members: list[Member]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "victim").write_text("kept\n")
    placed = [
        (name.format(out=str(out)[1:]), kind,
         {key: value.format(out=str(out)[1:]) if isinstance(value, str) else value
          for key, value in more.items()})
        for name, kind, more in members
    ]  # fmt: skip
    put_tar(place, tar_of(*placed))
    main(["fetch", NAME])
    assert names_in(out) == ["victim"]
    assert (out / "victim").read_text() == "kept\n"
    assert (out / "victim").stat().st_nlink == 1
