"""Files that the host writes into a VE's tree: its name, its hosts, its resolver.

A VE's root may turn any file of its tree into a link to anywhere. So the writing is done by a
child that has made the tree its root and has taken the VE's own user id: what a link says is then
true inside the VE only, and there is nothing that the VE's root could not have done itself.
"""

import os
from collections.abc import Callable
from pathlib import Path

from vztmpl.errors import VEError
from vztmpl.ve import codes
from vztmpl.ve.config import VEConfig

_MARK = "# by vzctl"
_MAX_BYTES = 1 << 16


def write_names(config: VEConfig) -> None:
    """Write /etc/hostname, /etc/hosts and /etc/resolv.conf, as far as the VE's conf sets them."""
    resolver = resolver_text(config, Path("/etc/resolv.conf"))

    def write() -> None:
        if config.hostname:
            _replace("/etc/hostname", f"{config.hostname}\n")
            _replace("/etc/hosts", hosts_text(_read("/etc/hosts"), config.hostname))
        if resolver:
            _replace("/etc/resolv.conf", resolver)

    if config.hostname or resolver:
        _as_ve_root(config, write)


def hosts_text(text: str, hostname: str) -> str:
    """Return /etc/hosts with our one line for the VE's own name."""
    lines = [line for line in text.splitlines() if not line.endswith(_MARK)]
    short = hostname.partition(".")[0]
    names = hostname if short == hostname else f"{hostname} {short}"
    return "\n".join([*lines, f"127.0.1.1\t{names}\t{_MARK}"]) + "\n"


def resolver_text(config: VEConfig, host_file: Path) -> str:
    """Return /etc/resolv.conf for a VE; empty when its conf says nothing of it."""
    if "inherit" in config.nameservers:
        try:
            return host_file.read_text(errors="replace")
        except FileNotFoundError:
            return ""
    lines = [f"search {' '.join(config.search_domains)}"] if config.search_domains else []
    lines += [f"nameserver {server}" for server in config.nameservers]
    return "".join(f"{line}\n" for line in lines)


def set_hostname(pid: int, hostname: str) -> None:
    """Change the host name of a running VE, whose init is ``pid``."""
    import socket

    from vztmpl.kernel import CLONE_NEWUTS, set_namespace

    def change() -> None:
        set_namespace(Path(f"/proc/{pid}/ns/uts"), CLONE_NEWUTS)
        socket.sethostname(hostname)

    in_child(change, "can't set the host name")


def in_child(work: Callable[[], None], problem: str) -> None:
    """Do work in a process of its own; VEError with its OSError when it fails."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except OSError as error:
            os.write(write_end, str(error).encode())
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1]:
        raise VEError(f"{problem}: {said}", vz_code=codes.SYSTEM_ERROR)


def _as_ve_root(config: VEConfig, write: Callable[[], None]) -> None:
    def confined() -> None:
        os.chroot(config.root)
        os.chdir("/")
        os.setgroups([])
        os.setresgid(*[config.first_id] * 3)
        os.setresuid(*[config.first_id] * 3)
        os.umask(0o022)
        write()

    in_child(confined, f"can't write into {config.root}")


def _read(path: str) -> str:
    """Read a file of the VE's, which may be anything: no waiting, no more than a little."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return (file.read(_MAX_BYTES) or b"").decode(errors="replace")


def _replace(path: str, text: str) -> None:
    partial = f"{path}.vzctl"
    Path(partial).unlink(missing_ok=True)
    with Path(partial).open("x") as file:
        file.write(text)
    Path(partial).rename(path)
