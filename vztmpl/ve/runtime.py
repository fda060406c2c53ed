"""The OCI runtime and conmon: they isolate and watch a VE, we tell them how.

conmon calls the runtime's ``create`` through a few words of shell that give it three things:

- a mount namespace in which the VE's root is at a place that every user may reach: the container's
  root looks for it by path, and the folders above VE_ROOT may be closed to all but the host's
  root. On a hybrid host the cgroup2 mount is hidden there, because crun refuses hybrids;
- the VE's cgroup2 group, where init then finds the root of its own tree;
- a /dev/null of this VE's alone as stdio: the runtime gives its stdio to the container's root, and
  the host's /dev/null would then belong to the VE.

A VE's init exits with 129 when it reboots and with 130 when it powers off: the kernel ends the init
of a pid namespace with SIGHUP and SIGINT for reboot(2).
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vztmpl import kernel
from vztmpl.errors import CommandError, VEError
from vztmpl.files import remove_tree
from vztmpl.run import STANDARD_PATH, launch, run
from vztmpl.settings import Node
from vztmpl.ve import cgroup, codes, devices
from vztmpl.ve.cgroup import Group
from vztmpl.ve.config import VEConfig
from vztmpl.ve.status import run_folder, runtime_root, state_path

REBOOT = 129
_PLACES = ("/mnt", "/media", "/srv", "/opt")
_RUNTIMES = ("crun", "runc")
_CONSOLE_BYTES = 4 << 20
_CREATE = 'echo 0 > "$1/cgroup.procs"; null=$2; shift 2; exec "$@" <"$null" >"$null"'
# Runs our program only when this life of the VE is still the recorded one; costs no Python else.
_ON_EXIT = (
    'read -r _ _ token < "$2" && [ "$token" = "$3" ] || exit 0;'
    ' log=$1; shift 3; exec "$@" >>"$log" 2>&1'
)


def program() -> str:
    """Return the OCI runtime of this host."""
    for name in _RUNTIMES:
        if found := _found(name):
            return found
    raise VEError(
        "neither crun nor runc is installed", vz_code=codes.BAD_KERNEL, hint="apt-get install crun"
    )


def create(node: Node, config: VEConfig, group: Group, token: str, on_exit: Sequence[str]) -> int:
    """Make the container from its bundle in ``run_folder``, all ready but init; return its pid.

    conmon runs ``on_exit`` after the end of this life of the VE.
    """
    ctid = config.ctid
    folder = run_folder(node, ctid)
    null = devices.place(node, ctid) / "null"
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    null.chmod(0o666)
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    with (
        kernel.child_that(lambda: _enter_mount_namespace(node, config, group)) as child,
        _working_in(folder),  # conmon makes a file "oom" where it was started
    ):
        try:
            launch(
                conmon_command(
                    node,
                    config,
                    [f"/proc/{child}/ns/mnt", str(group.v2), str(null)],
                    [str(state_path(node, ctid)), token, *on_exit],
                ),
                env={"_OCI_SYNCPIPE": str(write_end)},
                output=folder / "conmon.log",
            )
        finally:
            os.close(write_end)
        with os.fdopen(read_end) as sync:
            pid, message = _sync(sync.readline())
    conmon = conmon_pid(node, ctid)
    if conmon:
        cgroup.move(conmon, conmon_group(group).v2)
    if pid < 0:
        raise VEError(
            f"the runtime did not make VE {ctid}: {message}", vz_code=codes.ENVCREATE_ERROR
        )
    return pid


def start(node: Node, ctid: int) -> None:
    """Let the init of a made container go."""
    _call(node, "start", str(ctid))


def forget(node: Node, ctid: int) -> None:
    """Remove what the runtime knows of a container whose processes are gone; none is fine.

    The runtime's own ``delete`` would do nothing more: groups and mounts are not its to remove.
    """
    remove_tree(runtime_root(node) / str(ctid))


def join(group: Group) -> None:
    """Prepare this process to become the runtime's ``exec``.

    Where the controllers are version 2's the runtime finds the VE's group by itself, and a place in
    it: the group's own init may have divided it, and the kernel then lets nobody in at its top.
    """
    if not group.hierarchies.unified:
        cgroup.enter(group.v2)
        kernel.own_mount_namespace()
        kernel.unmount(group.hierarchies.v2, lazily=True)


def exec_command(
    node: Node, ctid: int, argv: Sequence[str], env: Mapping[str, str], *options: str
) -> list[str]:
    """Return the command line that runs ``argv`` inside a VE, with more options of its own."""
    return [
        *_base(node),
        "exec",
        *options,
        "--cwd=/",
        *(f"--env={name}={value}" for name, value in env.items()),
        str(ctid),
        *argv,
    ]


def conmon_command(
    node: Node, config: VEConfig, place: Sequence[str], on_exit: Sequence[str]
) -> list[str]:
    """Return the command line of conmon (conmon(8)).

    ``place``: a file of the runtime's mount namespace, the VE's cgroup2 group, its null device.
    ``on_exit`` begins with the state file and the token.
    """
    ctid = config.ctid
    folder = run_folder(node, ctid)
    name = str(ctid)
    namespace, group, null = place
    enter = [_found("nsenter"), f"--mount={namespace}", "--"]
    create = ["-euc", _CREATE, "sh", group, null, *enter, *_base(node)]
    after = ["-c", _ON_EXIT, "sh", str(event_log(node, ctid)), *on_exit]
    return [
        "conmon", "--api-version", "1", "--cid", name, "--cuuid", name, "--name", name,
        "--runtime", "/bin/sh", *(f"--runtime-arg={word}" for word in create),
        "--bundle", str(folder), "--exit-dir", str(folder / "exit"),
        "--container-pidfile", str(folder / "init.pid"),
        "--conmon-pidfile", str(folder / "conmon.pid"),
        "--log-path", f"k8s-file:{console_log(node, ctid)}",
        "--log-size-max", str(_CONSOLE_BYTES), "--log-level", "error",
        "--socket-dir-path", str(folder), "--terminal",
        "--exit-command", "/bin/sh", *(f"--exit-command-arg={word}" for word in after),
    ]  # fmt: skip


def root_place(node: Node, config: VEConfig) -> str:
    """Return the folder over which the runtime's own mount namespace has the VE's root.

    Any that everybody may reach and that hides nothing the runtime needs. Below /sys and /proc
    would hide a part of them, and the kernel then refuses the VE a sysfs and a proc of its own.
    """
    needed = (node.run, config.root)
    for place in _PLACES:
        if Path(place).is_dir() and not any(path.is_relative_to(place) for path in needed):
            return place
    raise VEError(
        f"none of {', '.join(_PLACES)} can be mounted over",
        vz_code=codes.ENVCREATE_ERROR,
        hint="mkdir /mnt",
    )


def console_log(node: Node, ctid: int) -> Path:
    """Return the file that keeps what a VE writes to its console."""
    return node.sysroot / f"var/log/vztmpl/{ctid}.console.log"


def event_log(node: Node, ctid: int) -> Path:
    """Return the file that keeps what was done when init ended by itself."""
    return node.sysroot / f"var/log/vztmpl/{ctid}.log"


def exit_status(node: Node, ctid: int) -> int:
    """Return the status init ended with, as conmon wrote it down; -1 when it did not."""
    try:
        return int((run_folder(node, ctid) / "exit" / str(ctid)).read_text())
    except (FileNotFoundError, ValueError):
        return -1


def conmon_pid(node: Node, ctid: int) -> int:
    """Return the pid of a VE's conmon; 0 when it does not run."""
    try:
        pid = int((run_folder(node, ctid) / "conmon.pid").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return 0
    return pid if os.fsencode(run_folder(node, ctid)) in words else 0


def conmon_group(group: Group) -> Group:
    """Return the group beside a VE's that conmon processes live in."""
    return group._replace(name=f"{group.name.partition('/')[0]}/conmon")


def _enter_mount_namespace(node: Node, config: VEConfig, group: Group) -> None:
    """Give this process the mounts that the runtime is to see."""
    kernel.own_mount_namespace()
    place = Path(root_place(node, config))
    kernel.mount(config.root, place, "", kernel.MS_BIND | kernel.MS_REC)
    if not group.hierarchies.unified:
        kernel.unmount(group.hierarchies.v2, lazily=True)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Have another working folder for a while, and the old one again even if it is gone."""
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    os.chdir(folder)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _found(name: str) -> str:
    """Look a program up; conmon wants whole paths. shutil.which would cost its import."""
    for folder in os.environ.get("PATH", STANDARD_PATH).split(":"):
        path = Path(folder, name)
        if os.access(path, os.X_OK):
            return str(path)
    return ""


def _base(node: Node) -> list[str]:
    return [program(), f"--root={runtime_root(node)}"]


def _call(node: Node, *arguments: str) -> None:
    try:
        run([*_base(node), *arguments])
    except CommandError as error:
        raise VEError(f"{error}: {error.tail.strip()}", vz_code=codes.ENVCREATE_ERROR) from error


def _sync(line: str) -> tuple[int, str]:
    """Read conmon's message: the pid, or why there is none."""
    import json

    try:
        said = json.loads(line)
        return int(said["data"]), str(said.get("message", "")).strip()
    except (ValueError, KeyError, TypeError):
        return -1, "conmon ended without a word; see conmon.log beside it"
