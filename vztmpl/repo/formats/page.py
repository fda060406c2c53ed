"""The page for people: one file, no request to anybody, readable without JavaScript."""

import base64
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from vztmpl.repo.formats.article import article, day
from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.config import Publishing
from vztmpl.repo.formats.markup import Html, commands, tag
from vztmpl.repo.formats.uses import URL

FILE = "index.html"
_HERE = Path(__file__).parent


def page(
    repository: Path, builds: Sequence[Build], publishing: Publishing, fingerprint: str
) -> bytes:
    """Return the page for the builds that are published, by name; a key has signed them."""
    style, script = ((_HERE / name).read_text() for name in ("page.css", "page.js"))
    templates = [list(group) for _, group in groupby(builds, key=lambda build: str(build.name))]
    body = tag(
        "body",
        tag("header", *_header(templates, publishing, fingerprint)),
        tag(
            "main",
            _search(),
            *(article(repository, of, publishing) for of in templates),
            tag("p", "No template fits.", id="none", hidden=True),
        ),
        tag("footer", *_footer()),
        tag("script", Html(script)),
    )
    head = tag("head", *_head(publishing.title, style, script))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n".encode()


def _head(title: str, style: str, script: str) -> Iterator[Html]:
    """Forbid all that is not on the page itself, so a slip in escaping could do nothing."""
    hashes = {
        kind: base64.b64encode(sha256(text.encode()).digest()).decode()
        for kind, text in (("style", style), ("script", script))
    }
    allowed = "; ".join(f"{kind}-src 'sha256-{hash_}'" for kind, hash_ in hashes.items())
    policy = f"default-src 'none'; {allowed}; img-src data:; base-uri 'none'; form-action 'none'"
    yield tag("meta", charset="utf-8")
    yield tag("meta", http_equiv="Content-Security-Policy", content=policy)
    yield tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield tag("meta", name="generator", content="vztmpl")
    yield tag("link", rel="icon", href="data:,")
    yield tag("title", title)
    yield tag("style", Html(style))


def _header(
    templates: Sequence[Sequence[Build]], publishing: Publishing, fingerprint: str
) -> Iterator[Html]:
    yield tag("h1", publishing.title)
    count = f"{len(templates)} template{'' if len(templates) == 1 else 's'}"
    newest = max((builds[-1].built for builds in templates), default=None)
    built = f", the newest built on {day(newest)}" if newest else ""
    yield tag("p", f"{count}{built}. Every one is signed.", class_="lead")
    url = publishing.url or URL
    steps = f"curl --remote-name {url}/key.asc\nvztmpl remote add main {url} --key key.asc"
    key = " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))
    yield tag(
        "section",
        tag("h2", "Add this repository"),
        commands(steps),
        tag("p", "Compare the key before you trust it: ", tag("code", key)),
        class_="start",
        data_url="" if publishing.url else URL,
    )


def _search() -> Html:
    """Return what finds templates; the script shows it, because it does the work."""
    selects = [
        tag("label", tag("span", label), tag("select", tag("option", "all", value=""), name=name))
        for name, label in (("os", "System"), ("arch", "Architecture"), ("set", "Set"))
    ]
    return tag(
        "form",
        tag(
            "label",
            tag("span", "Search"),
            tag("input", type="search", name="q", placeholder="name, description or package"),
            class_="words",
        ),
        *selects,
        tag("output", role="status"),
        id="find",
        hidden=True,
    )


def _footer() -> Iterator[Html]:
    signed = tag("a", "index.json.asc", href="index.json.asc")
    key = tag("a", "key.asc", href="key.asc")
    yield tag("p", "The signed list is ", signed, ", the keys are in ", key, ". Made by vztmpl.")
