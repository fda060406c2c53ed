"""The flow: what other systems read is made from the index that is about to be signed."""

from pathlib import Path

from vztmpl.progress import Progress
from vztmpl.repo.formats import incus, lxc, oci, openvz, page, proxmox, systemd
from vztmpl.repo.formats.config import Format, Publishing
from vztmpl.repo.formats.format import Maker
from vztmpl.repo.formats.outputs import Derived, File, Output, SigningKey
from vztmpl.repo.formats.prepare import builds, prepare
from vztmpl.template.index import Index

MAKERS: dict[Format, Maker] = {
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
    makers = [MAKERS[format_] for format_ in publishing.formats]
    forms = {form for maker in makers for form in maker.forms}
    derived = Derived(repository, key)
    derived.expect(build.image(form) for build in published for form in forms)
    outputs: list[Output] = []
    if makers:
        prepared = [prepare(repository, build, makers, progress) for build in published]
        published = [build for build, _ in prepared]
        outputs = [output for _, made in prepared for output in made]
    for maker in makers:
        outputs += maker.outputs(published)
    content = page.page(repository, published, publishing, key.fingerprint)
    outputs.append(File(path=page.FILE, content=content))
    derived.write(outputs)
    return derived
