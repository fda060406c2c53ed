"""Real templates, real VEs: below a VZ_SYSROOT and in a network namespace of the tests' own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest

from tests.fakes import NAME as TINY
from tests.fakes import Signer, make_template, template_of

CHECKOUT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
KEPT = CHECKOUT / "cache/test"
SIGNER = {"VZ_SYSROOT": str(KEPT / "maintainer")}

Result = subprocess.CompletedProcess[str]


def call(
    *words: object,
    env: dict[str, str],
    stdin: str = "",
    check: bool = False,
    cwd: Path | None = None,
) -> Result:
    """Run one of our programs; stdin is a pipe, as under a script."""
    return subprocess.run(
        [str(word) for word in words],
        env={"PATH": f"{BIN}:{os.environ['PATH']}", **env},
        input=stdin,
        text=True,
        capture_output=True,
        check=check,
        timeout=300,
        cwd=cwd,
    )


@dataclass(frozen=True)
class Host:
    """A hardware node: a sysroot, and a network namespace that stands for the host's own."""

    sysroot: Path
    network_pid: int

    @property
    def disks(self) -> Path:
        """Where tests mount other file systems for VE_PRIVATE."""
        return self.sysroot / "disks"

    @property
    def env(self) -> dict[str, str]:
        return {"VZ_SYSROOT": str(self.sysroot)}

    @property
    def whole_env(self) -> dict[str, str]:
        """For a command that is started by other means."""
        return {**self.env, "PATH": f"{BIN}:{os.environ['PATH']}"}

    def run(self, *words: object, stdin: str = "") -> Result:
        return call(*self.prefix, *words, env=self.env, stdin=stdin)

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self.network_pid}/ns/net", "--")

    def vzctl(self, *words: object, stdin: str = "") -> str:
        """Run vzctl, which has to succeed."""
        result = self.run("vzctl", *words, stdin=stdin)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def vzlist(self, *words: object) -> str:
        return self.run("vzlist", *words).stdout

    def inside(self, ctid: int, command: str) -> str:
        """Run a shell command in a VE, which has to succeed."""
        return self.vzctl("exec2", ctid, command).strip()

    def wait_running(self, ctid: int) -> str:
        return self.inside(
            ctid,
            "i=0; until [ $((i+=1)) -gt 300 ] || s=$(systemctl is-system-running --wait"
            ' 2>/dev/null) || [ degraded = "$s" ]; do sleep 0.05; done; echo $s',
        )

    def boot(self, ctid: int, template: str, *options: object) -> None:
        self.vzctl("create", ctid, "--ostemplate", template, *options)
        self.vzctl("start", ctid)
        state = self.wait_running(ctid)
        assert state == "running", self.inside(ctid, "systemctl --failed --no-legend")

    @property
    def group_name(self) -> str:
        """What the group of all VEs of this host is called."""
        return f"vz-{crc32(str(self.sysroot).encode()):08x}"

    def group(self, controller: str, ctid: int) -> Path:
        """The folder of a VE's limits, on a host of either cgroup version."""
        found = [
            path
            for mount in ("/sys/fs/cgroup", f"/sys/fs/cgroup/{controller}")
            for path in Path(mount).glob(f"{self.group_name}/{ctid}")
            if (path / f"{controller}.max").exists() or mount.endswith(controller)
        ]
        return found[0]


def left_behind(host: Host) -> list[str]:
    """What VEs of this host have left on the machine."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line for line in mounts if f" {host.sysroot}/" in line.replace(f" {host.disks}/", "")]
    found += [
        line
        for line in call("losetup", "--list", env={}).stdout.splitlines()
        if f"{host.sysroot}/" in line and "/disks/" not in line
    ]
    for where in (host.group_name, f"*/{host.group_name}"):
        found += map(str, Path("/sys/fs/cgroup").glob(where))
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        if os.fsencode(host.sysroot) in words and b"conmon" in words[:20]:
            found.append(words.replace(b"\0", b" ").decode())
    links = host.run("ip", "-brief", "link").stdout.splitlines()
    found += [line for line in links if line.split("@")[0].strip()[:1] == "v"]
    if Path("/dev/null").stat().st_uid:
        found.append("/dev/null is not root's")
    switched_on = Path("/sys/fs/cgroup/unified/cgroup.subtree_control")
    if switched_on.exists() and switched_on.read_text().strip():
        found.append("a controller is switched on at the root")
    return found


@contextmanager
def own_network() -> Iterator[int]:
    """Yield a process with a network namespace that stands for a host's own."""
    command = "ip link set lo up; ip address add 10.9.9.9/32 dev lo; echo; exec sleep infinity"
    words = ["unshare", "--net", "--", "sh", "-c", command]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield holder.pid
        finally:
            holder.kill()


@pytest.fixture(scope="session")
def templates() -> Path:
    """A folder with signed templates; what has not changed since the last run is there already."""
    out = KEPT / "out"
    out.mkdir(parents=True, exist_ok=True)
    if "fingerprint" not in call("vztmpl", "key", "list", "--json", env=SIGNER, check=True).stdout:
        words = ("--name", "Test Key", "--email", "test@example.org")
        call("vztmpl", "key", "generate", *words, env=SIGNER, check=True)
    names = (
        "debian-12-x86_64-minimal", "debian-12-x86_64-standard", "debian-13-x86_64-minimal",
    )  # fmt: skip
    built = call("vztmpl", "build", "--jobs=2", *names, "--out", out, env=SIGNER)
    assert built.returncode == 0, built.stderr
    return out


@pytest.fixture(scope="session")
def repository(templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with all the templates."""
    folder = tmp_path_factory.mktemp("repository")
    call("vztmpl", "publish", folder, *templates.glob("*.tar.zst"), env=SIGNER, check=True)
    return folder


@pytest.fixture(scope="session")
def node(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A node that has fetched the templates."""
    with own_network() as pid:
        host = Host(tmp_path_factory.mktemp("node"), pid)
        key = repository / "key.asc"
        host.run(
            "vztmpl", "remote", "add", "r", f"file://{repository}", "--key", key
        ).check_returncode()
        for archive in repository.rglob("*.tar.zst"):
            host.run("vztmpl", "fetch", archive.name.removesuffix(".tar.zst")).check_returncode()
        yield host


@pytest.fixture(scope="session")
def tiny_template(node: Host, publisher: Signer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a cached template of a few bytes, for what needs no boot."""
    for file in make_template(tmp_path_factory.mktemp("tiny"), publisher).all:
        shutil.copy(file, node.sysroot / "vz/template/cache")
    return TINY


@pytest.fixture(scope="session")
def btrfs(node: Host) -> Iterator[Path]:
    """A btrfs file system of the node."""
    with mounted_image(node.disks / "btrfs", "mkfs.btrfs", "--quiet") as folder:
        yield folder


@contextmanager
def mounted_image(at: Path, *make: str, gigabytes: int = 3) -> Iterator[Path]:
    """Make a file system in an image and mount it; the loop device is gone with the mount."""
    at.mkdir(parents=True)
    image = at.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(gigabytes << 30)
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "--options", "loop", image, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)
        image.unlink()


@pytest.fixture
def host(node: Host) -> Iterator[Host]:
    """The node, with nothing on it; what a test leaves on the machine fails it."""
    yield node
    clear(node)


@pytest.fixture(scope="session")
def tiny_node(publisher: Signer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A node of its own whose one template is a busybox: a VE of it boots in no time."""
    with own_network() as pid:
        host = Host(tmp_path_factory.mktemp("tiny"), pid)
        tree = busybox_tree(tmp_path_factory.mktemp("busybox"))
        cache = host.sysroot / "vz/template/cache"
        cache.mkdir(parents=True)
        files = template_of(tree, tree.parent, publisher)
        for path in files.all:
            shutil.copy(path, cache)
        yield host


@pytest.fixture
def tiny(tiny_node: Host) -> Iterator[Host]:
    """The node of tiny VEs, with nothing on it."""
    yield tiny_node
    clear(tiny_node)


def busybox_tree(folder: Path) -> Path:
    """Make a root file system whose every program is busybox, its init among them."""
    tree = folder / "root"
    for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var"):
        (tree / name).mkdir(parents=True)
    (tree / "sbin").symlink_to("bin")
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    applets = subprocess.run(["/bin/busybox", "--list"], text=True, capture_output=True, check=True)
    for name in applets.stdout.split():
        if name != "busybox":
            (tree / "bin" / name).symlink_to("busybox")
    for name, text in _BUSYBOX_FILES.items():
        (tree / name).write_text(text)
    return tree


_BUSYBOX_FILES = {
    "etc/inittab": "::sysinit:/bin/sh -c 'date +%s >> /var/boots'\n"
    "::respawn:-/bin/sh\n"
    "::shutdown:/bin/sh -c 'echo clean >> /var/ends'\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\n",
    "etc/group": "root:x:0:\nuser:x:1000:\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n",
}


def clear(node: Host) -> None:
    """Take away what a test left on a node; what it left on the machine fails it."""
    for ctid in node.vzlist("-a", "-1").split():
        node.run("vzctl", "stop", ctid, "--fast")
        node.run("vzctl", "umount", ctid)
        node.vzctl("destroy", ctid)
    assert left_behind(node) == []
