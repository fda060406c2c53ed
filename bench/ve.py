"""The life of one Debian 12 with systemd: ours, LXC and podman in turn, in one run.

    python -m bench.ve [ROUNDS]

All get the same root file system. Times are of whole commands as an admin waits for them, in
milliseconds. ``running`` is from the start command's begin until systemd says ``running``; it is
asked in the same way everywhere: a bare ``nsenter`` into init's namespaces, no tool's own exec.
Prints medians with their range and writes bench/results/ve.json.
"""

import compileall
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.peers import (
    CGROUPS,
    ROOT,
    WORK,
    BareLxc,
    Crun,
    Lxc,
    Ours,
    Peer,
    Podman,
    attempt,
    publish,
    run,
)
from vztmpl import kernel

STEPS = ("create", "start", "running", "exec", "stop", "destroy", "cycle")
TARGETS_MS = {"create": 60, "start": 90, "running": 280, "exec": 40, "stop": 250}
RESULTS = Path(__file__).parent / "results/ve.json"
UNIFIED = CGROUPS / "unified"
_PATIENCE_SECONDS = 30

Took = dict[str, float]


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def until_running(peer: Peer) -> None:
    ask = ("nsenter", "-t", peer.init(), "-a", "--", "systemctl", "is-system-running", "--wait")
    until = time.monotonic() + _PATIENCE_SECONDS
    while not attempt(*ask):  # fails as long as systemd does not listen yet
        if time.monotonic() > until:
            raise RuntimeError(f"{peer.name}: not running after {_PATIENCE_SECONDS} s")
        time.sleep(0.005)


def life(peer: Peer) -> Took:
    """Take one container through its whole life."""
    took = {"create": timed(peer.create)}
    began = time.perf_counter()
    took["start"] = timed(peer.start)
    until_running(peer)
    took["running"] = (time.perf_counter() - began) * 1000
    took["exec"] = timed(peer.exec_true)
    took["stop"] = timed(peer.stop)
    took["destroy"] = timed(peer.destroy)
    took["cycle"] = sum(took[step] for step in STEPS[:-1] if step != "start")
    return took


def bare(crun: Crun) -> Took:
    """Time the runtime alone."""
    took = {"run": timed(crun.run_true)}
    crun.start()
    took["exec"] = timed(crun.exec_true)
    crun.clean()
    return took


def in_child(peer: Peer | Crun, work: Callable[[], Took | None]) -> Took | None:
    """Call in a child process: the cgroup2 mount is hidden from a peer, and from nobody else."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if peer.hides_cgroup2:
                kernel.own_mount_namespace()
                if UNIFIED.is_dir():
                    kernel.unmount(UNIFIED, lazily=True)
            os.write(write_end, json.dumps(work()).encode())
            status = 0
        except Exception as error:
            sys.stderr.write(f"{peer.name}: {error}\n")
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{peer.name} failed")
    took: Took | None = json.loads(said)
    return took


def measure(archive: Path, rounds: int) -> dict[str, list[Took]]:
    """Take everybody's times in turn; the first round warms up and does not count."""
    peers: tuple[Peer, ...] = (Ours(), Lxc(), BareLxc(), Podman())
    crun = Crun()
    works: list[tuple[Peer | Crun, Callable[[], Took]]] = [
        *((peer, lambda peer=peer: life(peer)) for peer in peers),
        (crun, lambda: bare(crun)),
    ]
    results: dict[str, list[Took]] = {peer.name: [] for peer, _ in works}
    try:
        for peer, _ in works:
            in_child(peer, lambda peer=peer: peer.prepare(archive))  # type: ignore[misc]
        for number in range(rounds + 1):
            for peer, work in works:
                took = in_child(peer, work)
                if number and took:
                    results[peer.name].append(took)
    finally:
        for peer, _ in works:
            in_child(peer, peer.clean)
    return results


def medians(results: dict[str, list[Took]]) -> dict[str, Took]:
    return {
        name: {step: statistics.median(took[step] for took in rounds) for step in rounds[0]}
        for name, rounds in results.items()
    }


def table(results: dict[str, list[Took]]) -> str:
    def row(title: str, cells: Sequence[str]) -> str:
        return f"{title:<18}" + "".join(f"{cell:>16}" for cell in cells)

    def cell(name: str, step: str) -> str:
        every = [took[step] for took in results[name]]
        return f"{middle[name][step]:.0f} ({min(every):.0f}-{max(every):.0f})"

    middle = medians(results)
    lives = [name for name in results if name != Crun.name]
    ours = middle[Ours.name]
    lines = [row("ms: median (range)", STEPS)]
    lines += [row(name, [cell(name, step) for step in STEPS]) for name in lives]
    for name in lives[1:]:
        ratios = [f"{ours[step] / middle[name][step]:.2f}" for step in STEPS]
        lines.append(row(f"ours / {name}", ratios))
    lines.append(row("wanted, at most", [str(TARGETS_MS.get(step, "")) for step in STEPS]))
    met = {step: "met" if ours[step] <= most else "missed" for step, most in TARGETS_MS.items()}
    lines.append(row("", [met.get(step, "") for step in STEPS]))
    lines.append(f"crun alone: run true {cell(Crun.name, 'run')}, exec {cell(Crun.name, 'exec')}")
    return "\n".join(lines)


def machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "cgroups": "hybrid" if UNIFIED.is_dir() else "one kind",
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "lxc": run("lxc-start", "--version").strip(),
        "podman": run("podman", "--version").split()[-1],
        "crun": run("crun", "--version").split()[2],
    }


def controllers() -> set[str]:
    file = UNIFIED / "cgroup.subtree_control"
    return set(file.read_text().split()) if file.exists() else set()


def clear() -> None:
    for name in ("node", "lxc", "lxc-bare", "podman", "crun", "repository"):
        run("rm", "-rf", WORK / name)


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 10
    if rounds < 1:
        sys.exit("ROUNDS is at least 1")
    compileall.compile_dir(ROOT / "vztmpl", quiet=1)  # as every installer of packages does
    WORK.mkdir(parents=True, exist_ok=True)
    host = machine()
    before = controllers()
    clear()
    archive = publish()  # may build it, for which the host's network is needed
    kernel.unshare(kernel.CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")
    try:
        results = measure(archive, rounds)
    finally:
        for name in controllers() - before:  # podman or crun may have switched one on for all
            (UNIFIED / "cgroup.subtree_control").write_text(f"-{name}")
        clear()
    sys.stdout.write(table(results) + "\n")
    RESULTS.parent.mkdir(exist_ok=True)
    content = {
        "machine": host, "rounds": rounds, "targets_ms": TARGETS_MS,
        "medians_ms": medians(results), "rounds_ms": results,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
