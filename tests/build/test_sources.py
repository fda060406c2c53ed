import hashlib
from pathlib import Path

import pytest

from tests.build.repositories import small_system
from tests.build.test_customise import HEAD
from tests.fakes import fake_program
from vztmpl.build import recipe
from vztmpl.build.sources import Sources, default_lines, host_sources, leave_sources, lines_of
from vztmpl.errors import ConfigError
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
    assert host_sources(tmp_path).lines("trixie") == [
        "deb http://deb.example/debian trixie main",
        "deb http://deb.example/debian trixie-updates main",
        "deb https://sec.example/debian-security trixie-security main",
    ]


def test_proxies_and_checks_come_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_apt(
        monkeypatch, tmp_path, TARGETS, "O0='false'\nO2='http://proxy.example:3142'\nO3='DIRECT'\n"
    )
    assert host_sources(tmp_path).options == (
        ("Acquire::Check-Valid-Until", "false"),
        ("Acquire::http::Proxy", "http://proxy.example:3142"),
        ("Acquire::https::Proxy", "DIRECT"),
    )


def test_a_host_without_apt_leaves_it_to_the_bootstrapper(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host_sources(tmp_path) == Sources()
    assert host_sources(tmp_path).lines("trixie") == []


def test_a_host_of_another_distribution_does_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_apt(monkeypatch, tmp_path, "Ubuntu|Ubuntu|main|http://u.example/ubuntu/\n")
    assert host_sources(tmp_path).lines("trixie") == []


def test_sid_has_neither_updates_nor_security(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_apt(monkeypatch, tmp_path, TARGETS)
    assert host_sources(tmp_path).lines("sid") == ["deb http://deb.example/debian sid main"]


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
    found = host_sources(tmp_path)
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


OWN = """
[[repositories]]
name = "own"
url = "https://own.example/debian"
suites = ["{suite}", "{suite}-fixes"]
components = ["main"]
key = '''-----BEGIN PGP PUBLIC KEY BLOCK-----
x
'''
"""


@pytest.mark.root
@pytest.mark.parametrize("extra", ["true", "false"])
def test_the_tree_keeps_the_repositories_with_keys_of_its_own(tmp_path: Path, extra: str) -> None:
    (tmp_path / "tiny.toml").write_text(f"{HEAD}{OWN}extra = {extra}\n")
    wanted = recipe.resolve(tmp_path, "tiny-1-x86_64-minimal")
    host = Sources(main="https://deb.example/debian")
    kept = host.lines("one") if extra == "true" else []
    assert default_lines(wanted, host) == kept
    own = f"deb [signed-by={tmp_path}/own.asc] https://own.example/debian"
    added = [f"{own} one main", f"{own} one-fixes main"]
    assert lines_of(wanted, host, tmp_path) == [*kept, *added]
    small_system(tmp_path / "tree")
    leave_sources(wanted, tmp_path / "tree", kept)
    apt = tmp_path / "tree/etc/apt"
    assert (apt / "sources.list").read_text().splitlines() == kept
    assert (apt / "sources.list.d/own.sources").read_text() == (
        "Types: deb\nURIs: https://own.example/debian\nSuites: one one-fixes\nComponents: main\n"
        "Signed-By: /etc/apt/keyrings/own.asc\n"
    )
    assert (apt / "keyrings/own.asc").read_text().startswith("-----BEGIN PGP")


def test_extra_repositories_need_something_to_be_beside(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(f"{HEAD}{OWN}extra = true\n")
    with pytest.raises(ConfigError, match="all are `extra`") as caught:
        lines_of(recipe.resolve(tmp_path, "tiny-1-x86_64-minimal"), Sources(), tmp_path)
    assert "--mirror" in caught.value.hint
