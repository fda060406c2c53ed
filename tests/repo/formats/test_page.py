"""The page for people, in a real browser."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Page, chromium
from tests.fakes import EPOCH, FakeServer, web_server
from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.config import Format, Publishing
from vztmpl.repo.formats.page import page
from vztmpl.template.manifest import Manifest
from vztmpl.template.name import TemplateName

KEY = "7C5A1E0F93D2B84466A1F0E2D9C83B5A417E6F20"
EVIL = (
    """</script></style><script>document.title="owned"</script><img src=x onerror=alert(1)>'"&lt;"""
)
ALL = Publishing(
    formats=tuple(Format),
    push="docker://registry.example.org/os",
    title="Example Templates",
    url="https://templates.example.org",
)
SYSTEMS = ["vzctl", "LXC", "Incus", "Proxmox VE", "systemd-nspawn", "podman", "OpenVZ"]
PHONE, DESK = 390, 1280


def build(
    name: str, serial: str, packages: dict[str, str], description: str = "", *, newest: bool = True
) -> Build:
    manifest = Manifest(
        name=name,
        serial=serial,
        digest="0" * 64,
        sha256="0" * 64,
        size_bytes=53_100_000,
        unpacked_bytes=191_200_000,
        epoch=EPOCH,
        description=description or name,
        packages=packages,
    )
    folder = f"templates/{name}/{serial}"
    return Build(manifest=manifest, name=TemplateName.parse(name), folder=folder, newest=newest)


OLD, NEW = "20261114T0312Z", "20261121T0315Z"
BEFORE = {"apt": "2.6.1", "debconf": "1.5.82", "openssl": "3.0.17-1~deb12u3"}
AFTER = {"apt": "2.6.1", "netbase": "6.4", "openssl": "3.0.17-1~deb12u4"}
BUILDS = [
    build("alpine-3.22-aarch64", NEW, {"busybox": "1.37.0-r18"}, "Alpine Linux 3.22"),
    build("debian-12-x86_64-minimal", OLD, BEFORE, newest=False),
    build("debian-12-x86_64-minimal", NEW, AFTER, "Debian GNU/Linux 12 (bookworm), minimal set"),
    build("debian-12-x86_64-web", NEW, AFTER | {"nginx-light": "1.22.1"}),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page_:
        yield page_


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    with web_server(tmp_path) as running:
        yield running


def write(folder: Path, builds: Sequence[Build] = BUILDS, publishing: Publishing = ALL) -> None:
    (folder / "index.html").write_bytes(page(folder, builds, publishing, KEY))


def texts(browser: Page, selector: str) -> list[str]:
    found: list[str] = browser.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent.trim())"
    )
    return found


def shown(browser: Page) -> list[str]:
    """The templates that are seen."""
    found: list[str] = browser.evaluate(
        "[...document.querySelectorAll('article')].filter(e => e.offsetHeight).map(e => e.id)"
    )
    return found


def search(browser: Page, **wanted: str) -> list[str]:
    for name, value in wanted.items():
        field = f"document.querySelector('#find').elements.{name}"
        browser.evaluate(f"{field}.value = {json.dumps(value)}")
        browser.evaluate(f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    return shown(browser)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_all_can_be_read_with_and_without_scripts(
    browser: Page, server: FakeServer, tmp_path: Path, scripts: bool
) -> None:
    write(tmp_path)
    browser.open(server.url, width=DESK, scripts=scripts)
    assert texts(browser, "h1") == ["Example Templates"]
    assert len(shown(browser)) == 3
    debian = "#debian-12-x86_64-minimal "
    assert texts(browser, debian + "dd")[:4] == ["21 Nov 2026", "53.1 MB", "191.2 MB", "3"]
    summaries = ["How to use it", "Changes since 14 Nov 2026 (3)", "Packages (3)", "Files"]
    assert texts(browser, debian + "summary") == summaries
    assert texts(browser, debian + "details:nth-child(2) td") == [
        "removed", "new: 6.4", "3.0.17-1~deb12u3 → 3.0.17-1~deb12u4",
    ]  # fmt: skip
    assert texts(browser, debian + "h3") == SYSTEMS
    browser.evaluate("document.querySelector('article summary').click()")
    assert browser.evaluate("document.querySelector('article pre').offsetHeight > 0")
    assert KEY[:4] + " " + KEY[4:8] in texts(browser, ".start p")[0]


def test_the_page_asks_nobody_for_anything(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    write(tmp_path)
    browser.open(server.url, width=DESK)
    search(browser, q="debian")
    assert server.asked == ["/"]
    loaded = browser.evaluate("performance.getEntriesByType('resource').length")
    assert loaded == 0


def test_templates_are_found_by_words_packages_and_filters(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    write(tmp_path)
    browser.open(server.url, width=DESK)
    assert texts(browser, "select[name=os] option") == ["all", "alpine", "debian"]
    assert search(browser, q="BOOKWORM") == ["debian-12-x86_64-minimal"]
    assert search(browser, q="nginx") == ["debian-12-x86_64-web"]
    assert search(browser, q="debian apt") == ["debian-12-x86_64-minimal", "debian-12-x86_64-web"]
    assert search(browser, set="web") == ["debian-12-x86_64-web"]
    assert texts(browser, "output") == ["1 of 3"]
    assert search(browser, q="", arch="aarch64", set="") == ["alpine-3.22-aarch64"]
    assert search(browser, q="nothing like it") == []
    assert browser.evaluate("document.getElementById('none').offsetHeight > 0")


def test_without_scripts_no_search_is_promised(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    write(tmp_path)
    browser.open(server.url, width=DESK, scripts=False)
    assert not browser.evaluate("document.getElementById('find').offsetHeight")
    assert not texts(browser, "button")


@pytest.mark.parametrize(("formats", "systems"), [
    ((), SYSTEMS[:1]),
    ((Format.LXC, Format.SYSTEMD), ["vzctl", "LXC", "systemd-nspawn"]),
    ((Format.OCI,), SYSTEMS[:1]),
])  # fmt: skip
def test_only_what_is_published_is_offered(
    browser: Page,
    server: FakeServer,
    tmp_path: Path,
    formats: tuple[Format, ...],
    systems: list[str],
) -> None:
    """An OCI layout alone is for the publisher; people pull from where it was pushed."""
    write(tmp_path, publishing=Publishing(formats=formats))
    browser.open(server.url, width=DESK)
    assert texts(browser, "#alpine-3\\.22-aarch64 h3") == systems


def test_a_repository_that_does_not_know_its_address_takes_that_of_the_page(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    (tmp_path / "tree").mkdir()
    write(tmp_path / "tree", publishing=replace(ALL, url=""))
    browser.open(f"{server.url}/tree/?x#y", width=DESK)
    code = "\n".join(texts(browser, "pre code"))
    assert "templates.example.org" not in code
    assert f"vztmpl remote add main {server.url}/tree --key key.asc" in code
    assert f"--server {server.url.removeprefix('http://')}/tree -d alpine" in code


def test_what_comes_from_outside_is_only_text(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    name = "evil-1-x86_64"
    builds = [
        build(name, OLD, {"a": "1"}, newest=False),
        build(name, NEW, {EVIL: EVIL, "a": EVIL}, EVIL),
    ]
    folder = tmp_path / builds[1].folder
    folder.mkdir(parents=True)
    (folder / f"{name}.test.json").write_text(json.dumps({"passed": False, "summary": EVIL}))
    write(tmp_path, builds, replace(ALL, title=EVIL))
    browser.open(server.url, width=DESK)
    assert browser.evaluate("document.title") == EVIL.strip()
    assert texts(browser, "h1") == [EVIL]
    assert texts(browser, ".top p") == [EVIL, "Boot test failed"]
    assert EVIL in texts(browser, "dd")
    assert texts(browser, ".packages code") == [f"{EVIL}  {EVIL}\n{'a'.ljust(28)}  {EVIL}"]
    assert browser.evaluate("document.querySelectorAll('script, style').length") == 2
    assert browser.evaluate("document.images.length") == 0
    assert "https" not in browser.evaluate("document.querySelector('[data-url]').dataset.url")


def test_the_policy_forbids_scripts_that_are_not_the_pages_own(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    write(tmp_path)
    path = tmp_path / "index.html"
    owned = b"document.title='owned'"
    slipped = b'<img src=/x.png onerror="%b"><script>%b</script>' % (owned, owned)
    path.write_bytes(path.read_bytes().replace(b"<main>", b"<main>" + slipped))
    browser.open(server.url, width=DESK)
    assert browser.evaluate("document.title") == "Example Templates"
    assert server.asked == ["/"]


@pytest.mark.parametrize("width", [320, PHONE, 768, DESK])
def test_nothing_overflows_at_any_width(
    browser: Page, server: FakeServer, tmp_path: Path, width: int
) -> None:
    long = build(
        "a" * 60 + "-1-x86_64-" + "b" * 28, NEW, {"p" * 90: "1" * 90}, "word " * 60 + "x" * 90
    )
    write(tmp_path, [long, *BUILDS[1:]])
    browser.open(server.url, width=width)
    browser.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    too_wide = f"""
        [...document.querySelectorAll('body *')].filter((e) => !e.closest('table, select')
          && e.getBoundingClientRect().right > {width}).map((e) => e.outerHTML.slice(0, 80))
    """
    assert browser.evaluate(too_wide) == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width


CONTRAST = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const part = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType == 3 && n.data.trim());
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3]) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!e.offsetHeight || !hasText(e)) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) low.push([e.outerHTML.slice(0, 80), (a + .05) / (b + .05)]);
  }
  return low;
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    browser: Page, server: FakeServer, tmp_path: Path, dark: bool
) -> None:
    """At least 4.5 : 1, as WCAG 2 asks for."""
    folder = tmp_path / BUILDS[0].folder
    folder.mkdir(parents=True)
    for built, passed in ((BUILDS[0], True), (BUILDS[2], False)):
        (tmp_path / built.folder).mkdir(parents=True, exist_ok=True)
        report = tmp_path / built.folder / f"{built.name}.test.json"
        report.write_text(json.dumps({"passed": passed, "summary": "booted"}))
    systems = [f"{letter}a-1-x86_64" for letter in "bcdefghijklmnopqrstuvwxyz"]
    write(tmp_path, [*BUILDS, *(build(name, NEW, {}) for name in systems)])
    browser.open(server.url, width=DESK, dark=dark)
    browser.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    low: list[Any] = browser.evaluate(CONTRAST)
    assert low == []
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 26)") is dark


def test_a_repository_without_templates_has_a_page_too(
    browser: Page, server: FakeServer, tmp_path: Path
) -> None:
    write(tmp_path, [])
    browser.open(server.url, width=PHONE)
    assert texts(browser, ".lead") == ["0 templates. Every one is signed."]


@pytest.mark.parametrize("report", ["", "[]", "{", '{"summary": "x"}', "[" * 50_000])
def test_a_report_that_makes_no_sense_is_no_report(tmp_path: Path, report: str) -> None:
    folder = tmp_path / BUILDS[0].folder
    folder.mkdir(parents=True)
    (folder / "alpine-3.22-aarch64.test.json").write_text(report)
    assert b"Boot test" not in page(tmp_path, BUILDS[:1], ALL, KEY)
