"""How a template is used from each system, as the page says it: only what is published."""

from collections.abc import Iterator
from dataclasses import dataclass

from vztmpl.repo.formats import openvz, proxmox, systemd
from vztmpl.repo.formats.build import Build
from vztmpl.repo.formats.config import Format, Publishing

URL = "https://templates.example.org"
"""Stands for the repository's address where nobody said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Commands for one system."""

    system: str
    commands: str


def uses(build: Build, publishing: Publishing) -> Iterator[Use]:
    """Say how to use a build."""
    url, formats = publishing.url or URL, publishing.formats
    name, short = str(build.name), f"{build.name.os}{build.name.version.replace('.', '')}"
    yield Use(
        system="vzctl",
        commands=f"vztmpl fetch {name}\nvzctl create 101 --ostemplate {name}\nvzctl start 101",
    )
    if Format.LXC in formats:
        yield Use(system="LXC", commands=_lxc(build, url, short))
    if Format.INCUS in formats:
        alias = f"{build.name.os}/{build.name.version}/{build.variant}/{build.arch.debian}"
        added = f"incus remote add vz {url} --protocol=simplestreams"
        yield Use(system="Incus", commands=f"{added}\nincus launch vz:{alias} {short}")
    if Format.PROXMOX in formats:
        yield Use(system="Proxmox VE", commands=_proxmox(build, url))
    if Format.SYSTEMD in formats:
        file = f"{url}/{systemd.FOLDER}/{systemd.file_name(build)}.tar.xz"
        commands = f"machinectl pull-tar {file} {short}\nmachinectl start {short}"
        yield Use(system="systemd-nspawn", commands=commands)
    if Format.OCI in formats and publishing.push:
        image = f"{publishing.push.removeprefix('docker://')}/{name}:{build.serial}"
        commands = f"podman run --detach --systemd=always --name {short} {image}"
        yield Use(system="podman", commands=commands)
    if Format.OPENVZ in formats:
        commands = f"TEMPLATE_REPOS={url}/{openvz.FOLDER} vztmpl-dl --gpg-check {name}"
        yield Use(system="OpenVZ", commands=commands)


def _lxc(build: Build, url: str, short: str) -> str:
    server = url.partition("://")[2]
    wanted = f"-d {build.name.os} -r {build.name.version} -a {build.arch.debian}"
    variant = f" --variant {build.variant}" if build.name.set else ""
    return f"lxc-create -n {short} -t download -- --server {server} {wanted}{variant}"


def _proxmox(build: Build, url: str) -> str:
    file = proxmox.file_name(build)
    fetched = f"wget -P /var/lib/vz/template/cache {url}/{proxmox.FOLDER}/system/{file}"
    made = f"pct create 101 local:vztmpl/{file} --unprivileged 1 --rootfs local-lvm:8"
    return f"{fetched}\n{made}"
