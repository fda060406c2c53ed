"""The flow: what other systems read is made from the index that is about to be signed."""

from collections.abc import Iterable
from pathlib import Path

from vztmpl.progress import Progress
from vztmpl.repo.formats import incus, lookaside, lxc, oci, openvz, page, proxmox, systemd
from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.config import Format, Publishing
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.known import Known
from vztmpl.repo.formats.outputs import Derived, File, Output, SigningKey
from vztmpl.repo.formats.prepare import builds, prepare, wanted
from vztmpl.template.index import Index

_MAKERS: dict[Format, Maker] = {
    Format.INCUS: incus.MAKER,
    Format.LXC: lxc.MAKER,
    Format.OCI: oci.MAKER,
    Format.OPENVZ: openvz.MAKER,
    Format.PROXMOX: proxmox.MAKER,
    Format.SYSTEMD: systemd.MAKER,
}


def derive(
    repository: Path, index: Index, publishing: Publishing, key: SigningKey, progress: Progress
) -> Derived:
    """Bring all derived files of a repository up to an index; its lock is held.

    What the index does not name any more stays until ``remove_others`` of the result, which is to
    be called when the index is in place. VerificationError when a file is not what it names.
    """
    published = builds(repository, index)
    makers = makers_for(publishing)
    derived = Derived(repository, key)
    derived.expect(path for build in published for path in wanted(build, makers))
    outputs: list[Output] = []
    if makers:
        known = [Known.noted(repository, build) for build in published]
        published, outputs = prepare_all(known, publishing, progress)
    content = page.page(repository, published, publishing, key.fingerprint)
    derived.write([*outputs, File(path=page.FILE, content=content)])
    return derived


def makers_for(publishing: Publishing) -> list[Maker]:
    """Return what makes the formats that are asked for."""
    return [_MAKERS[format_] for format_ in publishing.formats]


def prepare_all(
    known: Iterable[Known], publishing: Publishing, progress: Progress
) -> tuple[list[Build], list[Output]]:
    """Return builds with all facts, and all that is derived of them, indexes last."""
    makers = makers_for(publishing)
    prepared = [prepare(one, makers, progress) for one in known]
    published = [build for build, _ in prepared]
    outputs = [output for _, made in prepared for output in made]
    for maker in makers:
        outputs += maker.outputs(published)
    if publishing.push:
        outputs += lookaside.signatures(published, publishing.push)
    return published, outputs
