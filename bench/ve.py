"""The life of one Debian 12 with systemd: ours, LXC and podman in turn, in one run.

    python -m bench.ve [ROUNDS]

All get the same root file system. Times are whole commands as an admin waits for them, in
milliseconds. ``running`` is from the start command's begin to systemd's ``running``, asked through
each tool's own exec. Prints medians with their range and writes bench/results/ve.json.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vztmpl import kernel

HERE = Path(__file__).parent
WORK = HERE.parent / "cache/bench"
TEMPLATE = "debian-12-x86_64-minimal"
STEPS = ("create", "start", "running", "exec", "stop", "destroy", "cycle")
TARGETS_MS = {"create": 60, "start": 90, "running": 280, "exec": 40, "stop": 250}


def run(*argv: object, env: dict[str, str] | None = None, ok: bool = True) -> int:
    """Run a command quietly and return its status."""
    done = subprocess.run(  # noqa: PLW1510 - the caller says whether a failure matters
        [str(word) for word in argv],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if ok and done.returncode:
        sys.exit(f"{argv}: {done.stderr.decode()}")
    return done.returncode


class Ours:
    name = "vztmpl"

    def __init__(self) -> None:
        self.bin = Path(sys.executable).parent
        self.env = {"VZ_SYSROOT": str(WORK / "node")}

    def vz(self, *words: object, ok: bool = True) -> int:
        return run(self.bin / "vzctl", "--quiet", *words, env=self.env, ok=ok)

    def prepare(self, archive: Path) -> None:
        cache = WORK / "node/vz/template/cache"
        cache.mkdir(parents=True, exist_ok=True)
        for file in archive.parent.glob(f"{TEMPLATE}.*"):
            (cache / file.name).unlink(missing_ok=True)
            (cache / file.name).hardlink_to(file)
        self.create()  # unpacks the base
        self.destroy()

    def create(self) -> None:
        self.vz("create", 101, "--ostemplate", TEMPLATE)

    def start(self) -> None:
        self.vz("start", 101)

    def exec(self, *words: str) -> int:
        return self.vz("exec2", 101, *words, ok=False)

    def stop(self) -> None:
        self.vz("stop", 101)

    def destroy(self) -> None:
        self.vz("destroy", 101)


class Lxc:
    name = "LXC"

    def __init__(self) -> None:
        self.path = WORK / "lxc"

    def prepare(self, archive: Path) -> None:
        base = self.path / "base"
        (base / "rootfs").mkdir(parents=True)
        run(
            "tar",
            "--zstd",
            "-xpf",
            archive,
            "--xattrs",
            "--xattrs-include=*",
            "-C",
            base / "rootfs",
        )
        (base / "config").write_text(
            "lxc.include = /usr/share/lxc/config/common.conf\nlxc.arch = linux64\n"
            "lxc.net.0.type = empty\nlxc.apparmor.profile = unconfined\nlxc.uts.name = base\n"
            f"lxc.rootfs.path = dir:{base}/rootfs\n"
        )

    def create(self) -> None:
        run("lxc-copy", "-P", self.path, "-n", "base", "-N", "b1", "-s", "-B", "overlay")

    def start(self) -> None:
        run("lxc-start", "-P", self.path, "-n", "b1", "-d")

    def exec(self, *words: str) -> int:
        return run("lxc-attach", "-P", self.path, "-n", "b1", "--", *words, ok=False)

    def stop(self) -> None:
        run("lxc-stop", "-P", self.path, "-n", "b1")

    def destroy(self) -> None:
        run("lxc-destroy", "-P", self.path, "-n", "b1")


class Podman:
    name = "podman"

    def __init__(self) -> None:
        self.base = [
            "podman", "--root", WORK / "podman", "--runroot", WORK / "podman-run",
            "--tmpdir", WORK / "podman-tmp", "--cgroup-manager=cgroupfs",
            "--events-backend=file", "--runtime=crun",
        ]  # fmt: skip

    def prepare(self, archive: Path) -> None:
        tar = WORK / "image.tar"
        run("sh", "-c", f"zstd -dcq {archive} > {tar}")
        run(*self.base, "import", "--change", 'CMD ["/sbin/init"]', tar, "bench:1")
        tar.unlink()

    def create(self) -> None:
        run(
            *self.base, "create", "--name", "b1", "--ulimit", "nofile=20000:20000",
            "--ulimit", "nproc=32768:32768", "--network=none", "--systemd=always",
            "--stop-signal=SIGRTMIN+3", "--cgroup-parent=/bench-podman", "bench:1",
        )  # fmt: skip

    def start(self) -> None:
        run(*self.base, "start", "b1")

    def exec(self, *words: str) -> int:
        return run(*self.base, "exec", "b1", *words, ok=False)

    def stop(self) -> None:
        run(*self.base, "stop", "b1")

    def destroy(self) -> None:
        run(*self.base, "rm", "b1")


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def until_running(peer: Ours | Lxc | Podman) -> None:
    until = time.monotonic() + 30
    while peer.exec("systemctl", "is-system-running", "--wait"):
        if time.monotonic() > until:
            sys.exit(f"{peer.name}: not running after 30 s")


def one_round(peer: Ours | Lxc | Podman) -> dict[str, float]:
    took = {"create": timed(peer.create)}
    began = time.perf_counter()
    took["start"] = timed(peer.start)
    until_running(peer)
    took["running"] = (time.perf_counter() - began) * 1000
    took["exec"] = timed(lambda: peer.exec("true"))
    took["stop"] = timed(peer.stop)
    took["destroy"] = timed(peer.destroy)
    took["cycle"] = sum(took[step] for step in STEPS[:-1] if step != "start")
    return took


def archive() -> Path:
    """Return the template, built by us when the demo has not left one."""
    for folder in (HERE.parent / "cache/demo/out", WORK / "out"):
        if (found := folder / f"{TEMPLATE}.tar.zst").exists():
            return found
    bin_ = Path(sys.executable).parent
    run(bin_ / "vztmpl", "build", TEMPLATE, "--unsigned", "--out", WORK / "out")
    return WORK / f"out/{TEMPLATE}.tar.zst"


def apart() -> None:
    """Go into mount and network namespaces of our own.

    crun, which podman runs, refuses hybrid cgroups: the cgroup2 mount is hidden from the peers.
    """
    kernel.unshare(kernel.CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")


def table(results: dict[str, list[dict[str, float]]]) -> str:
    lines = [f"{'ms, median (min-max)':<22}" + "".join(f"{step:>20}" for step in STEPS)]
    medians: dict[str, dict[str, float]] = {}
    for name, rounds in results.items():
        cells = {step: [took[step] for took in rounds] for step in STEPS}
        medians[name] = {step: statistics.median(cells[step]) for step in STEPS}
        shown = [f"{medians[name][s]:.0f} ({min(cells[s]):.0f}-{max(cells[s]):.0f})" for s in STEPS]
        lines.append(f"{name:<22}" + "".join(f"{text:>20}" for text in shown))
    ours = medians[Ours.name]
    for name in medians:
        if name != Ours.name:
            ratios = [f"{ours[step] / medians[name][step]:.2f}" for step in STEPS]
            lines.append(f"{'ratio to ' + name:<22}" + "".join(f"{text:>20}" for text in ratios))
    goals = [str(TARGETS_MS.get(step, "")) for step in STEPS]
    return "\n".join([*lines, f"{'ours, at most':<22}" + "".join(f"{text:>20}" for text in goals)])


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 10
    run("rm", "-rf", WORK / "node", WORK / "lxc")
    WORK.mkdir(parents=True, exist_ok=True)
    apart()
    peers: list[Ours | Lxc | Podman] = [Ours(), Lxc(), Podman()]
    results: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    source = archive()
    for peer in peers:
        in_child(lambda peer=peer: peer.prepare(source), peer)  # type: ignore[misc]
    for number in range(rounds + 1):  # the first one warms up
        for peer in peers:
            took = in_child(lambda peer=peer: one_round(peer), peer)  # type: ignore[misc]
            if number and isinstance(took, dict):
                results[peer.name].append(took)
    text = table(results)
    sys.stdout.write(text + "\n")
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results/ve.json").write_text(json.dumps(results, indent=1))
    run(*Podman().base, "rmi", "--all", "--force", ok=False)
    run("rm", "-rf", WORK / "node", WORK / "lxc", WORK / "podman", WORK / "podman-run", ok=False)
    for group in ("bench-podman", "lxc.pivot"):  # both tools leave theirs, empty
        for folder in Path("/sys/fs/cgroup").glob(f"*/{group}"):
            for below in sorted(folder.rglob("*/"), reverse=True):
                below.rmdir()
            folder.rmdir()


def in_child(work: Callable[[], object], peer: Ours | Lxc | Podman) -> object:
    """Call in a child; podman sees no cgroup2 on a hybrid host, and takes its mounts with it."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            unified = Path("/sys/fs/cgroup/unified")
            if isinstance(peer, Podman):
                kernel.own_mount_namespace()
                if unified.is_dir():
                    kernel.unmount(unified, lazily=True)
            os.write(write_end, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{peer.name} failed")
    result: object = json.loads(said)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
