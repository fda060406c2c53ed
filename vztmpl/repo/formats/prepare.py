"""Getting published builds ready for the formats: what lacks is made, facts are gathered."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vztmpl.errors import VerificationError
from vztmpl.files import public_folder, remove_abandoned
from vztmpl.progress import Progress
from vztmpl.repo.formats import forms
from vztmpl.repo.formats.build import INCUS_META, Build, Facts
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.forms import Form
from vztmpl.repo.formats.known import Known, facts_of, note
from vztmpl.repo.formats.outputs import File, Made, Output
from vztmpl.template.entry import Entry
from vztmpl.template.index import Index
from vztmpl.template.manifest import MAX_BYTES, Manifest
from vztmpl.template.name import TemplateName

_OWN = (".tar.zst", ".json", ".json.asc", ".cdx.json", ".provenance.json")


def builds(repository: Path, index: Index) -> list[Build]:
    """Return the builds that an index names, by name and serial; their manifests are checked."""
    entries = sorted(index.entries, key=lambda entry: (entry.name, entry.serial))
    newest = {entry.name: entry.serial for entry in entries}
    return [
        _build(repository, entry, newest=entry.serial == newest[entry.name]) for entry in entries
    ]


def wanted(build: Build, makers: Sequence[Maker]) -> list[str]:
    """Name the forms and small files of a build that some formats are made of."""
    names = {name for maker in makers for name in (*maker.forms, *maker.parts)}
    return sorted(map(build.image, names))


def prepare(
    known: Known, makers: Sequence[Maker], progress: Progress
) -> tuple[Build, list[Output]]:
    """Make what some formats lack of a build; return it with all facts, and the files made.

    VerificationError when its archive is not what its manifest says.
    """
    build = known.build
    parts = {
        build.image(name): known.content(build.image(name)) or make(build)
        for maker in makers
        for name, make in maker.parts.items()
    }
    made = sorted({form for maker in makers for form in maker.forms})
    _make(known, [form for form in made if build.image(form) not in known.facts], progress)
    facts = _facts(known, parts, map(build.image, made))
    if facts[build.archive].sha256 != build.manifest.sha256:
        raise _altered(known.repository / build.archive)
    build = replace(build, facts=facts)
    outputs: list[Output] = [Made(path=build.image(form)) for form in made]
    outputs += [File(path=path, content=content) for path, content in parts.items()]
    return build, [*outputs, note(build)]


def _build(repository: Path, entry: Entry, *, newest: bool) -> Build:
    path = repository / entry.path / f"{entry.name}.json"
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES)
    except FileNotFoundError as error:
        hint = "publish that build again"
        raise VerificationError(f"{path} is missing, but in the index", hint=hint) from error
    if hashlib.sha256(text).hexdigest() != entry.files[path.name].sha256:
        raise _altered(path)
    manifest = Manifest.parse(text, path)
    name = TemplateName.parse(manifest.name)
    return Build(manifest=manifest, name=name, folder=entry.path, newest=newest)


def _make(known: Known, lacking: Sequence[Form], progress: Progress) -> None:
    if lacking:
        build, folder = known.build, known.repository / known.build.images
        public_folder(folder)
        for form in lacking:
            remove_abandoned(folder / form)
        archive = known.repository / build.archive
        forms.make(archive, build.manifest, folder, lacking, progress)


def _facts(known: Known, parts: Mapping[str, bytes], made: Iterable[str]) -> dict[str, Facts]:
    """Return the facts of a build's own files, of its small files and of its forms."""
    build = known.build
    head = parts.get(build.image(INCUS_META), b"")
    own = (path for path in map(build.own, _OWN) if (known.repository / path).is_file())
    return {
        **{path: known.look(path) for path in own},
        **{path: facts_of([content]) for path, content in parts.items()},
        **{path: known.look(path, head) for path in made},
    }


def _altered(path: Path) -> VerificationError:
    return VerificationError(
        f"{path} is not what the index says",
        hint="somebody altered the repository: remove the build and publish it again",
    )
