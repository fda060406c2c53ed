import hashlib
from pathlib import Path

import pytest

from tests.fakes import fake_program
from vztmpl.build.sources import Sources, host_sources
from vztmpl.run import run

TARGETS = """\
Debian|Debian|main|http://deb.example/debian/
Debian|Debian|contrib|http://deb.example/debian/
Debian|Debian-Security|main|https://sec.example/debian-security/
Other|Tools|main|http://tools.example/apt/
"""


def fake_apt(monkeypatch: pytest.MonkeyPatch, where: Path, targets: str, options: str = "") -> None:
    fake_program(monkeypatch, where, "apt-get", f"cat <<'END'\n{targets}END\n")
    fake_program(monkeypatch, where, "apt-config", f"cat <<'END'\n{options}END\n")


def test_the_hosts_own_archive_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_apt(monkeypatch, tmp_path, TARGETS)
    assert host_sources().lines("trixie") == [
        "deb http://deb.example/debian trixie main",
        "deb http://deb.example/debian trixie-updates main",
        "deb https://sec.example/debian-security trixie-security main",
    ]


def test_proxies_and_checks_come_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_apt(
        monkeypatch, tmp_path, TARGETS, "O0='false'\nO2='http://proxy.example:3142'\nO3='DIRECT'\n"
    )
    assert host_sources().options == (
        ("Acquire::Check-Valid-Until", "false"),
        ("Acquire::http::Proxy", "http://proxy.example:3142"),
        ("Acquire::https::Proxy", "DIRECT"),
    )


def test_a_host_without_apt_leaves_it_to_the_bootstrapper(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host_sources() == Sources()
    assert host_sources().lines("trixie") == []


def test_a_host_of_another_distribution_does_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_apt(monkeypatch, tmp_path, "Ubuntu|Ubuntu|main|http://u.example/ubuntu/\n")
    assert host_sources().lines("trixie") == []


def test_sid_has_neither_updates_nor_security(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_apt(monkeypatch, tmp_path, TARGETS)
    assert host_sources().lines("sid") == ["deb http://deb.example/debian sid main"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("sources.list", "deb [trusted=yes] file:{archive} trixie main\n"),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: file:{archive}\nSuites: trixie\nComponents: main\nTrusted: yes\n",
        ),
    ],
)
def test_apt_itself_reads_either_form_of_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, text: str
) -> None:
    """The real apt, in folders of its own, understands what we ask it."""
    archive = debian_archive(tmp_path / "archive")
    etc, state, cache = tmp_path / "etc", tmp_path / "state", tmp_path / "cache"
    for folder in (etc / "sources.list.d", etc / "apt.conf.d", state / "lists/partial", cache):
        folder.mkdir(parents=True)
    (etc / file).write_text(text.format(archive=archive))
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc "{etc}";\nDir::State "{state}";\nDir::Cache "{cache}";\n'
        'Acquire::http::Proxy "http://proxy.example:3142";\nAPT::Sandbox::User "root";\n'
    )
    real = f"env APT_CONFIG={tmp_path}/apt.conf /usr/bin"
    fake_program(monkeypatch, tmp_path, "apt-get", f'exec {real}/apt-get "$@"')
    fake_program(monkeypatch, tmp_path, "apt-config", f'exec {real}/apt-config "$@"')
    run(["apt-get", "update"])
    found = host_sources()
    assert found.main == f"file:{archive}"
    assert ("Acquire::http::Proxy", "http://proxy.example:3142") in found.options


def debian_archive(folder: Path) -> Path:
    """Make an archive of one package that says it is Debian's."""
    packages = folder / "dists/trixie/main/binary-amd64/Packages"
    packages.parent.mkdir(parents=True)
    text = b"Package: one\nVersion: 1\nArchitecture: amd64\nFilename: one.deb\nSize: 1\n"
    packages.write_bytes(text)
    (folder / "dists/trixie/Release").write_text(
        "Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: trixie\nComponents: main\n"
        "Architectures: amd64\nDate: Sat, 10 Jan 2026 10:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} main/binary-amd64/Packages\n"
    )
    return folder
