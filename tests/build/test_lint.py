"""Lint over small archives: a good tree passes, and each rule is broken once."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import zstandard

from tests.fakes import EPOCH
from vztmpl.build.lint import Report, lint, waivers
from vztmpl.build.lint_alongside import linting
from vztmpl.build.lint_rules import RULES
from vztmpl.build.rules import Severity, Waiver
from vztmpl.errors import VerificationError, VztmplError
from vztmpl.template.archive import decompressed
from vztmpl.template.name import TemplateName
from vztmpl.template.walk import walk

NAME = TemplateName.parse("debian-12-x86_64-minimal")
CAPABILITY = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"


@dataclass(frozen=True)
class Entry:
    """One member as a test wants it."""

    path: str
    content: str = ""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    target: str = ""
    uid: int = 0
    mtime: float = EPOCH
    headers: dict[str, str] = field(default_factory=dict)


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, kind=tarfile.DIRTYPE, mode=mode)


def link(path: str, target: str) -> Entry:
    return Entry(path, kind=tarfile.SYMTYPE, mode=0o777, target=target)


GOOD = (
    folder("."),
    link("./bin", "usr/bin"),
    *(folder(f"./{name}") for name in ("dev", "etc", "etc/ssh", "etc/systemd")),
    folder("./etc/systemd/system"),
    folder("./etc/systemd/system/multi-user.target.wants"),
    link("./etc/systemd/system/multi-user.target.wants/x.service", "/lib/systemd/system/x.service"),
    link("./etc/systemd/system/masked.service", "/dev/null"),
    Entry("./etc/fstab", "# nothing\n"),
    Entry("./etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
    Entry("./etc/machine-id"),
    link("./etc/os-release", "../usr/lib/os-release"),
    Entry("./etc/passwd", "root:x:0:0:root:/root:/bin/sh\n_apt:x:42:65534::/:/bin/false\n"),
    Entry("./etc/shadow", "root:*:1:0:9:7:::\n_apt:!:1:0:9:7:::\n", mode=0o640),
    link("./lib", "usr/lib"),
    folder("./root", 0o700),
    link("./sbin", "usr/sbin"),
    folder("./tmp", 0o1777),
    *(folder(f"./{name}") for name in ("usr", "usr/bin", "usr/lib", "usr/sbin")),
    Entry("./usr/bin/ping", mode=0o755, headers={"SCHILY.xattr.security.capability": CAPABILITY}),
    Entry("./usr/bin/passwd", mode=0o4755),
    Entry("./usr/lib/os-release", 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n'),
    folder("./usr/lib/systemd"),
    Entry("./usr/lib/systemd/systemd", mode=0o755),
    folder("./usr/lib/systemd/system"),
    Entry("./usr/lib/systemd/system/x.service"),
    link("./usr/sbin/init", "/lib/systemd/systemd"),
    *(folder(f"./{name}") for name in ("var", "var/lib", "var/lib/dpkg", "var/log")),
    Entry("./var/lib/dpkg/status", "Package: dash\nStatus: install ok installed\n\n"),
    Entry("./var/log/empty.log"),
    folder("./var/tmp", 0o1777),
)


def with_entries(*entries: Entry) -> list[Entry]:
    """The good tree with some of its members replaced, and others added at the end."""
    changed = {entry.path: entry for entry in entries}
    kept = [changed.pop(entry.path, entry) for entry in GOOD]
    return [*kept, *changed.values()]


def without(*paths: str) -> list[Entry]:
    return [entry for entry in GOOD if entry.path not in paths]


def pack(entries: Iterator[Entry] | list[Entry], target: Path, end: bytes = b"") -> int:
    """Write an archive that our own packer never would; return the size of the tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.linkname = entry.kind, entry.mode, entry.target
            info.uid, info.mtime = entry.uid, entry.mtime
            info.size, info.pax_headers = len(entry.content.encode()), entry.headers
            tar.addfile(info, io.BytesIO(entry.content.encode()))
    target.write_bytes(zstandard.compress(out.getvalue() + end))
    return len(out.getvalue() + end)


def linted(tmp_path: Path, entries: list[Entry], *waived: Waiver, size: int = 0) -> Report:
    packed = tmp_path / "t.tar.zst"
    size_bytes = pack(entries, packed)
    return lint(walk(packed, size or size_bytes), NAME, EPOCH, waived)


def test_a_good_template_breaks_no_rule(tmp_path: Path) -> None:
    report = linted(tmp_path, list(GOOD))
    assert report.findings == ()
    assert (report.errors, report.warnings) == (0, 0)
    report.require_no_errors()


BROKEN = [
    ("build-host", "/etc/hostname", with_entries(Entry("./etc/hostname", "builder\n"))),
    ("build-host", "/etc/resolv.conf", with_entries(Entry("./etc/resolv.conf", "nameserver x\n"))),
    ("machine-id", "/etc/machine-id", with_entries(Entry("./etc/machine-id", "0123456789\n"))),
    ("machine-id", "/var/log/journal/01", with_entries(folder("./var/log/journal/01"))),
    ("shared-secret", "/etc/ssh/ssh_host_rsa_key",
     with_entries(Entry("./etc/ssh/ssh_host_rsa_key", "secret"))),
    ("shared-secret", "/var/lib/systemd/random-seed",
     with_entries(Entry("./var/lib/systemd/random-seed", "noise"))),
    ("build-options", "/usr/sbin/policy-rc.d", with_entries(Entry("./usr/sbin/policy-rc.d"))),
    ("cloud", "/var/lib/cloud/instances", with_entries(folder("./var/lib/cloud/instances"))),
    ("lease", "/var/lib/dhcp/e.leases", with_entries(Entry("./var/lib/dhcp/e.leases"))),
    ("lock", "/var/lib/pacman/db.lck", with_entries(Entry("./var/lib/pacman/db.lck"))),
    ("backup", "/etc/shadow-", with_entries(Entry("./etc/shadow-", mode=0o600))),
    ("cache", "/var/cache/dnf/x", with_entries(folder("./var/cache/dnf/x"))),
    ("log", "/var/log/a/b.log",
     with_entries(folder("./var/log/a"), Entry("./var/log/a/b.log", "x"))),
    ("temporary", "/tmp/.hidden", with_entries(Entry("./tmp/.hidden"))),
    ("history", "/root/.bash_history", with_entries(Entry("./root/.bash_history", "ls\n"))),
    ("unsafe-name", "//etc/x", with_entries(Entry("/etc/x"))),
    ("unsafe-name", "/../x", with_entries(Entry("./../x"))),
    ("unsafe-name", "/etc/shadow",
     [*GOOD, Entry("./etc/shadow", "root:*:1:0:9:7:::\n", mode=0o640)]),
    ("unsafe-name", "/bin/x", with_entries(Entry("./bin/x"))),
    ("climbing-link", "/etc/out", with_entries(link("./etc/out", "../../etc/shadow"))),
    ("unsafe-link", "/etc/hard",
     with_entries(Entry("./etc/hard", kind=tarfile.LNKTYPE, target="../../etc/shadow"))),
    ("build-path", "/etc/x", with_entries(link("./etc/x", "/build/12345/x"))),
    ("device", "/etc/null", with_entries(Entry("./etc/null", kind=tarfile.CHRTYPE))),
    ("runtime-files", "/dev/x", with_entries(Entry("./dev/x"))),
    ("world-writable", "/etc/x", with_entries(Entry("./etc/x", mode=0o666))),
    ("world-writable", "/etc/d", with_entries(folder("./etc/d", 0o777))),
    ("set-id", "/usr/bin/shell", with_entries(Entry("./usr/bin/shell", mode=0o4755))),
    ("capability", "/usr/bin/x",
     with_entries(Entry("./usr/bin/x", headers={"SCHILY.xattr.security.capability": CAPABILITY}))),
    ("owner", "/etc/x", with_entries(Entry("./etc/x", uid=100000))),
    ("mode", "/etc/shadow",
     with_entries(Entry("./etc/shadow", "root:*:1:0:9:7:::\n", mode=0o644))),
    ("mode", "/tmp", with_entries(folder("./tmp", 0o755))),
    ("mode", "/root", with_entries(folder("./root", 0o755))),
    ("mode", "/", with_entries(folder(".", 0o700))),
    ("newer", "/etc/x", with_entries(Entry("./etc/x", mtime=EPOCH + 1))),
    ("no-init", "/sbin/init", without("./usr/sbin/init")),
    ("no-init", "/sbin/init", without("./usr/lib/systemd/systemd")),
    ("no-init", "/sbin/init", with_entries(link("./usr/sbin/init", "init"))),
    ("no-init", "/sbin/init", with_entries(link("./usr/sbin/init", "a/../" * 800 + "init"))),
    ("os-release", "/etc/os-release", without("./etc/os-release")),
    ("os-release", "/etc/os-release", without("./usr/lib/os-release")),
    ("other-release", "/etc/os-release",
     with_entries(Entry("./usr/lib/os-release", "ID=debian\nVERSION_ID=13\n"))),
    ("other-release", "/etc/os-release", with_entries(Entry("./usr/lib/os-release", "ID=void\n"))),
    ("other-release", "/etc/debian_version", with_entries(Entry("./etc/debian_version", "13.1\n"))),
    ("other-release", "/etc/lsb-release",
     with_entries(Entry("./etc/lsb-release", "DISTRIB_RELEASE=24.04\n"))),
    ("hosts", "/etc/hosts", with_entries(Entry("./etc/hosts", "127.0.0.1 localhost builder\n"))),
    ("hosts", "/etc/hosts", with_entries(Entry("./etc/hosts", "127.0.1.1 builder\n"))),
    ("fstab", "/etc/fstab", with_entries(Entry("./etc/fstab", "UUID=1 / ext4 defaults 0 1\n"))),
    ("dangling-unit", "/etc/systemd/system/multi-user.target.wants/x.service",
     without("./usr/lib/systemd/system/x.service")),
    ("empty-password", "/etc/shadow",
     with_entries(Entry("./etc/shadow", "root::1:0:9:7:::\n", mode=0o640))),
    ("empty-password", "/etc/passwd",
     with_entries(Entry("./etc/passwd", "root::0:0::/:/bin/sh\n"))),
    ("known-password", "/etc/shadow",
     with_entries(Entry("./etc/shadow", "root:!$6$salt$hash:1:0:9:7:::\n", mode=0o640))),
    ("second-root", "/etc/passwd",
     with_entries(Entry("./etc/passwd", "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\n"))),
    ("authorized-keys", "/root/.ssh/authorized_keys",
     with_entries(Entry("./root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n"))),
    ("private-key", "/etc/x.pem",
     with_entries(Entry("./etc/x.pem", "cert\n-----BEGIN RSA PRIVATE KEY-----\n"))),
    ("sshd-open", "/etc/ssh/sshd_config",
     with_entries(Entry("./etc/ssh/sshd_config", "#x\nPermitRootLogin yes\n"))),
    ("credentials", "/etc/apt/sources.list.d/x.list",
     with_entries(Entry("./etc/apt/sources.list.d/x.list", "deb http://me:pw@example.org/ x y\n"))),
    ("build-archive", "/etc/apt/sources.list",
     with_entries(Entry("./etc/apt/sources.list", "deb http://127.0.0.1:3142/debian x y\n"))),
    ("half-installed", "/var/lib/dpkg/status",
     with_entries(Entry("./var/lib/dpkg/status", "Package: x\nStatus: install ok unpacked\n"))),
    ("kernel", "/boot/vmlinuz-6.1", with_entries(Entry("./boot/vmlinuz-6.1"))),
    ("emulator", "/usr/bin/qemu-arm-static", with_entries(Entry("./usr/bin/qemu-arm-static"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "path", "entries"), BROKEN, ids=[f"{rule}:{path}" for rule, path, _ in BROKEN]
)
def test_each_rule_is_seen_to_be_broken(
    tmp_path: Path, rule: str, path: str, entries: list[Entry]
) -> None:
    report = linted(tmp_path, entries)
    found = {(finding.rule, finding.path) for finding in report.findings}
    assert (rule, path) in found
    assert {name for name, _ in found} == {rule}
    bad = RULES[rule].severity is Severity.ERROR
    assert (bool(report.errors), bool(report.warnings)) == (bad, not bad)


def test_every_rule_is_tried_and_says_why_and_what_to_do() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)
    assert all(rule.reason and rule.cure for rule in RULES.values())


@pytest.mark.parametrize(
    "entries",
    [
        with_entries(Entry("./etc/machine-id", "uninitialized\n")),
        with_entries(link("./etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")),
        with_entries(link("./var/lib/dbus/machine-id", "/etc/machine-id")),
        with_entries(folder("./var/log/apt")),
        with_entries(Entry("./etc/fstab", "tmpfs /tmp tmpfs defaults 0 0\n")),
        with_entries(Entry("./usr/lib/os-release", "ID=debian\n")),
        with_entries(Entry("./etc/debian_version", "12.11\n")),
        with_entries(Entry("./etc/debian_version", "trixie/sid\n")),
        with_entries(Entry("./usr/lib/os-release", "ID=debian\nVERSION_ID=12.4\n")),
        with_entries(Entry("./etc/ssh/sshd_config", "#PermitRootLogin yes\n")),
    ],
)
def test_what_distributions_do_is_allowed(tmp_path: Path, entries: list[Entry]) -> None:
    entries = [entry for entry in entries if entry.path != "./run"] + [folder("./run")]
    assert linted(tmp_path, entries).findings == ()


def test_a_waiver_allows_its_rule_where_it_says(tmp_path: Path) -> None:
    entries = with_entries(Entry("./usr/bin/a", mode=0o4755), Entry("./usr/bin/b", mode=0o4755))
    everywhere = Waiver(rule="set-id", reason="it is a test")
    report = linted(tmp_path, entries, everywhere)
    assert (report.errors, report.waived) == (0, {"set-id": 2})
    one = replace(everywhere, paths=("/usr/bin/a",))
    report = linted(tmp_path, entries, one)
    assert [finding.path for finding in report.findings] == ["/usr/bin/b"]
    assert waivers(report.summary(), "x") == (one,)


def test_errors_name_each_place(tmp_path: Path) -> None:
    report = linted(tmp_path, with_entries(Entry("./etc/x\n\x1b[2J", mode=0o666)))
    with pytest.raises(VztmplError, match="lint found 1 error, 0 warnings") as caught:
        report.require_no_errors()
    assert caught.value.__notes__ == ["world-writable: /etc/x\n\x1b[2J (mode 0666, owner 0:0)"]


def test_a_rule_broken_everywhere_gives_a_short_report(tmp_path: Path) -> None:
    report = linted(tmp_path, [*GOOD, *(Entry(f"./etc/{n}", mode=0o666) for n in range(500))])
    assert (len(report.findings), report.counts) == (20, {"world-writable": 500})


def test_an_archive_larger_than_its_manifest_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="larger than its manifest"):
        linted(tmp_path, [*GOOD, Entry("./big", "x" * 300_000)], size=100_000)


def test_linting_alongside_finds_the_same(tmp_path: Path) -> None:
    packed = tmp_path / "t.tar.zst"
    entries = with_entries(Entry("./etc/x", mode=0o666))
    pack(entries, packed)
    with packed.open("rb") as file, linting(NAME, EPOCH, (), packed) as (feed, report):
        for piece in decompressed(file, packed):
            feed(piece)
    assert report.result() == linted(tmp_path, entries)


def test_whoever_packs_is_not_held_up_when_linting_fails(tmp_path: Path) -> None:
    with linting(NAME, EPOCH, (), tmp_path) as (feed, report):
        for _ in range(100):
            feed(b"no tar" * 1000)
    with pytest.raises(VerificationError):
        report.result()


def test_when_packing_fails_linting_ends(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="disk"),
        linting(NAME, EPOCH, (), tmp_path) as (feed, _),
    ):
        feed(b"x")
        raise OSError("disk")
