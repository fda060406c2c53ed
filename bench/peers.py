"""What is compared: ours, LXC and podman with the same root file system, and crun bare."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parent.parent
WORK = ROOT / "cache/bench"
NODE = WORK / "node"
REPOSITORY = WORK / "repository"
TEMPLATE = "debian-12-x86_64-minimal"
BIN = Path(sys.executable).parent
CGROUPS = Path("/sys/fs/cgroup")


def run(*argv: object, sysroot: Path | None = None) -> str:
    """Run a command and return its stdout; one that fails ends the benchmark."""
    words = [str(word) for word in argv]
    env = {**os.environ, **({"VZ_SYSROOT": str(sysroot)} if sysroot else {})}
    done = subprocess.run(
        words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def attempt(*argv: object, sysroot: Path | None = None) -> bool:
    """Run a command; return whether it succeeded."""
    try:
        run(*argv, sysroot=sysroot)
    except RuntimeError:
        return False
    return True


class Peer(Protocol):
    """One way to run a Debian with systemd; every call but ``init`` is one command."""

    name: str
    hides_cgroup2: bool
    """crun refuses hybrid cgroups: where they are, it must not see the cgroup2 mount."""

    def prepare(self, archive: Path) -> None: ...
    def create(self) -> None: ...
    def start(self) -> None: ...
    def init(self) -> int: ...
    def exec_true(self) -> None: ...
    def stop(self) -> None: ...
    def destroy(self) -> None: ...
    def clean(self) -> None: ...


class Ours:
    name = "vztmpl"
    hides_cgroup2 = False

    def vzctl(self, *words: object) -> None:
        run(BIN / "vzctl", "--quiet", *words, sysroot=NODE)

    def prepare(self, archive: Path) -> None:
        """Fetch what ``publish`` has put into the repository: it is unpacked once, for all VEs."""
        del archive
        key = ("--key", REPOSITORY / "key.asc")
        run(BIN / "vztmpl", "remote", "add", "bench", REPOSITORY.as_uri(), *key, sysroot=NODE)
        run(BIN / "vztmpl", "fetch", TEMPLATE, sysroot=NODE)

    def create(self) -> None:
        self.vzctl("create", 101, "--ostemplate", TEMPLATE)

    def start(self) -> None:
        self.vzctl("start", 101)

    def init(self) -> int:
        return int((NODE / "run/vztmpl/101/state").read_text().split()[0])

    def exec_true(self) -> None:
        self.vzctl("exec", 101, "true")

    def stop(self) -> None:
        self.vzctl("stop", 101)

    def destroy(self) -> None:
        self.vzctl("destroy", 101)

    def clean(self) -> None:
        attempt(BIN / "vzctl", "stop", 101, "--fast", sysroot=NODE)
        attempt(BIN / "vzctl", "destroy", 101, sysroot=NODE)


class Lxc:
    """LXC as Debian recommends it: with lxcfs, whose hook sleeps half a second after a stop."""

    name = "LXC"
    hides_cgroup2 = False
    place = WORK / "lxc"
    hooks = ""

    @property
    def one(self) -> tuple[object, ...]:
        return ("-P", self.place, "-n", "vzbench")

    def prepare(self, archive: Path) -> None:
        base = self.place / "base"
        (base / "rootfs").mkdir(parents=True)
        unpack(archive, base / "rootfs")
        (base / "config").write_text(
            "lxc.include = /usr/share/lxc/config/common.conf\nlxc.arch = linux64\n"
            "lxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\nlxc.uts.name = base\n"
            f"lxc.rootfs.path = dir:{base}/rootfs\n{self.hooks}"
        )

    def create(self) -> None:
        run("lxc-copy", "-P", self.place, "-n", "base", "-N", "vzbench", "-s", "-B", "overlay")

    def start(self) -> None:
        run("lxc-start", *self.one, "-d")

    def init(self) -> int:
        return int(run("lxc-info", *self.one, "-pH"))

    def exec_true(self) -> None:
        run("lxc-attach", *self.one, "--", "true")

    def stop(self) -> None:
        run("lxc-stop", *self.one)

    def destroy(self) -> None:
        run("lxc-destroy", *self.one)

    def clean(self) -> None:
        attempt("lxc-destroy", *self.one, "-f")
        for pivot in CGROUPS.glob("*/lxc.pivot"):  # it leaves an empty one in every hierarchy
            attempt("rmdir", pivot)


class BareLxc(Lxc):
    """LXC without lxcfs."""

    name = "LXC, bare"
    place = WORK / "lxc-bare"
    hooks = "lxc.hook.mount =\nlxc.hook.post-stop =\n"


class Podman:
    name = "podman"
    hides_cgroup2 = True
    place = WORK / "podman"
    base = (
        "podman", "--root", place / "root", "--runroot", place / "run", "--tmpdir", place / "tmp",
        "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=crun",
    )  # fmt: skip

    def podman(self, *words: object) -> None:
        run(*self.base, *words)

    def prepare(self, archive: Path) -> None:
        self.place.mkdir()
        tar = self.place / "image.tar"
        run("zstd", "-dqf", archive, "-o", tar)
        self.podman("import", "--change", 'CMD ["/sbin/init"]', tar, "vzbench:1")
        tar.unlink()

    def create(self) -> None:
        self.podman(
            "create", "--name=vzbench", "--ulimit=nofile=20000:20000", "--ulimit=nproc=32768:32768",
            "--network=none", "--systemd=always", "--stop-signal=SIGRTMIN+3",
            "--cgroup-parent=/vzbench-podman", f"--pidfile={self.place}/pid", "vzbench:1",
        )  # fmt: skip

    def start(self) -> None:
        self.podman("start", "vzbench")

    def init(self) -> int:
        return int((self.place / "pid").read_text())

    def exec_true(self) -> None:
        self.podman("exec", "vzbench", "true")

    def stop(self) -> None:
        self.podman("stop", "vzbench")

    def destroy(self) -> None:
        self.podman("rm", "vzbench")

    def clean(self) -> None:
        attempt(*self.base, "rm", "--force", "--time=0", "--all")
        remove_groups("vzbench-podman")


class Crun:
    """crun alone, without init: what of ours and of podman's times is the runtime's own."""

    name = "crun"
    hides_cgroup2 = True
    place = WORK / "crun"
    base = ("crun", f"--root={place}/state", "--cgroup-manager=cgroupfs")

    def prepare(self, archive: Path) -> None:
        (self.place / "rootfs").mkdir(parents=True)
        unpack(archive, self.place / "rootfs")
        run("sh", "-c", 'cd "$0" && crun spec', self.place)
        spec = json.loads((self.place / "config.json").read_text())
        spec["process"]["terminal"] = False
        spec["linux"]["cgroupsPath"] = "/vzbench-crun/one"
        for bundle, argv in {"true": ["true"], "sleep": ["sleep", "1000"]}.items():
            (self.place / bundle).mkdir()
            spec["root"]["path"] = str(self.place / "rootfs")
            spec["process"]["args"] = argv
            (self.place / bundle / "config.json").write_text(json.dumps(spec))

    def run_true(self) -> None:
        run(*self.base, "run", f"--bundle={self.place}/true", "vzbench")

    def start(self) -> None:
        """Start a program to ``exec`` beside; it holds stdout, which must not be a pipe of ours."""
        words = [*self.base, "run", "--detach", f"--bundle={self.place}/sleep", "vzbench"]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def exec_true(self) -> None:
        run(*self.base, "exec", "vzbench", "true")

    def clean(self) -> None:
        attempt(*self.base, "delete", "--force", "vzbench")
        remove_groups("vzbench-crun")


def unpack(archive: Path, folder: Path) -> None:
    run("tar", "--zstd", "-xpf", archive, "--xattrs", "--xattrs-include=*", "-C", folder)


def remove_groups(name: str) -> None:
    """Remove the empty control groups that a runtime left."""
    for top in CGROUPS.glob(f"*/{name}"):
        for folder in (*sorted(top.rglob("*/"), reverse=True), top):
            attempt("rmdir", folder)


def publish() -> Path:
    """Publish the template, the demo's when it left one, into REPOSITORY; return its archive."""
    demo, maker = ROOT / "cache/demo", WORK / "maker"
    for sysroot in (demo, maker):
        archive = sysroot / f"out/{TEMPLATE}.tar.zst"
        if archive.exists() and attempt(
            BIN / "vztmpl", "publish", REPOSITORY, archive, sysroot=sysroot
        ):
            return archive
    name = ("--name", "Benchmark", "--email", "bench@example.org")
    if "fingerprint" not in run(BIN / "vztmpl", "key", "list", "--json", sysroot=maker):
        run(BIN / "vztmpl", "key", "generate", *name, sysroot=maker)
    run(BIN / "vztmpl", "build", TEMPLATE, "--out", maker / "out", sysroot=maker)
    archive = maker / f"out/{TEMPLATE}.tar.zst"
    run(BIN / "vztmpl", "publish", REPOSITORY, archive, sysroot=maker)
    return archive
