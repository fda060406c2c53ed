"""Building debian-13-x86_64-minimal: ours beside mmdebstrap and debootstrap, in one run.

    python -m bench.build [ROUNDS]

Everybody installs the same packages from the host's own archive; the peers write a plain tar, ours
is packed, with manifest and lock. Cold means that nothing is kept: no indexes, packages nor trees.
Seconds of whole commands, wall clock and processor (all their processes), everybody in turn in
each round. Prints medians with their range and writes bench/results/build.json.
"""

import compileall
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.peers import ROOT, WORK, run
from vztmpl.build import recipe
from vztmpl.build.sources import host_sources

NAME = "debian-13-x86_64-minimal"
NODE, OUT, RECIPES, PEER = (WORK / name for name in ("node", "out", "recipes", "peer"))
RESULTS = Path(__file__).parent / "results/build.json"
LIMITS = {
    "ours, cold": ("mmdebstrap", 0.8),
    "ours, one package more": ("ours, cold", 0.4),
    "ours, a final script changed": ("ours, cold", 0.25),
    "ours, packing alone": ("tar | zstd -9 -T0", 1.1),
}
_MOST_UNCHANGED_SECONDS = 1.0
_MOST_MEMORY_MB = 300
_MEASURED = """
import resource, sys
from vztmpl.cli.vztmpl import main
status = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
sys.exit(status)
"""
_PACKING = """
import sys
from pathlib import Path
from vztmpl.template import archive
with open(sys.argv[2], "wb") as file:
    archive.pack(Path(sys.argv[1]), file, 1790000000)
"""

Took = dict[str, float]


def timed(*argv: object, env: dict[str, str] | None = None) -> Took:
    """Run a command to its end; it must succeed."""
    words = [str(word) for word in argv]
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        quiet = os.open(WORK / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.execvpe(words[0], words, {**os.environ, **(env or {})})
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(words)}: {(WORK / 'said').read_text()[-2000:]}")
    return {"wall": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime}


class Ours:
    """Builds by the command line, on a node of its own."""

    def __init__(self) -> None:
        self.memory_mb = 0.0

    def cold(self) -> Took:
        for folder in (NODE, OUT, RECIPES):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ROOT / "recipes", RECIPES)
        self._append('[[scripts]]\nat = "final"\nrun = "echo first >/etc/bench"\n')
        return self.build()

    def build(self) -> Took:
        words = ["build", NAME, "--unsigned", f"--out={OUT}", f"--recipes={RECIPES}"]
        memory = WORK / "memory"
        took = timed(sys.executable, "-c", _MEASURED, memory, *words, env={"VZ_SYSROOT": str(NODE)})
        self.memory_mb = max(self.memory_mb, int(memory.read_text()) / 1024)
        return took

    def with_one_package(self) -> Took:
        self._append('[[packages]]\ninstall = ["less"]\n')
        return self.build()

    def with_another_script(self) -> Took:
        path = RECIPES / "debian.toml"
        path.write_text(path.read_text().replace("echo first", "echo second"))
        return self.build()

    def _append(self, text: str) -> None:
        with (RECIPES / "debian.toml").open("a") as file:
            file.write(text)


def peers() -> dict[str, Callable[[], Took]]:
    wanted = recipe.resolve(ROOT / "recipes", NAME)
    lines = host_sources(PEER / "host").lines(wanted.suite)
    include = f"--include={','.join(wanted.parts.packages)}"
    tar = PEER / "out.tar"

    def mmdebstrap(where: Path) -> Took:
        argv = ["mmdebstrap", "--mode=root", "--variant=minbase", include, wanted.suite]
        tar.unlink(missing_ok=True)
        return timed(*argv, tar, *lines, env={"TMPDIR": str(where)})

    def debootstrap() -> Took:
        shutil.rmtree(PEER / "tree", ignore_errors=True)
        mirror = lines[0].split()[1]
        script = 'debootstrap --variant=minbase "$1" "$2" "$3" "$4" && tar -C "$3" -cf "$5" .'
        argv = ["sh", "-c", script, "sh", include, wanted.suite, PEER / "tree", mirror, tar]
        took = timed(*argv)
        shutil.rmtree(PEER / "tree")
        return took

    return {
        "mmdebstrap": lambda: mmdebstrap(PEER),
        "mmdebstrap in memory": lambda: mmdebstrap(Path("/dev/shm")),
        "debootstrap": debootstrap,
    }


def packing() -> dict[str, Callable[[], Took]]:
    """Pack one tree in memory, both ways."""
    tree = Path("/dev/shm/vztmpl-bench-tree")
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    run("tar", "-xf", OUT / f"{NAME}.tar.zst", "-C", tree)
    script = 'tar -C "$1" -c --sort=name --xattrs --acls . | zstd -9 -T0 -q -f -o "$2"'
    return {
        "tar | zstd -9 -T0": lambda: timed("sh", "-c", script, "sh", tree, PEER / "their.zst"),
        "ours, packing alone": lambda: timed(
            sys.executable, "-c", _PACKING, tree, PEER / "our.zst"
        ),
    }


def measure(rounds: int, ours: Ours) -> dict[str, list[Took]]:
    works: dict[str, Callable[[], Took]] = {
        **peers(),
        "ours, cold": ours.cold,
        "ours, nothing changed": ours.build,
        "ours, one package more": ours.with_one_package,
        "ours, a final script changed": ours.with_another_script,
    }
    results: dict[str, list[Took]] = {}
    for _ in range(rounds):
        for name, work in works.items():
            results.setdefault(name, []).append(work())
            sys.stderr.write(f"{name}: {results[name][-1]}\n")
    for name, work in packing().items():
        results[name] = [work() for _ in range(rounds)]
    return results


def median(results: dict[str, list[Took]], name: str, what: str) -> float:
    return statistics.median(took[what] for took in results[name])


def table(results: dict[str, list[Took]], ours: Ours) -> str:
    lines = [f"{'seconds: median (range)':<30}{'wall':>20}{'processor':>20}   of            wanted"]
    for name, rounds in results.items():
        cells = [
            f"{median(results, name, what):.2f} ({min(all_):.2f}-{max(all_):.2f})"
            for what in ("wall", "cpu")
            if (all_ := [took[what] for took in rounds])
        ]
        line = f"{name:<30}{cells[0]:>20}{cells[1]:>20}"
        if name in LIMITS:
            other, most = LIMITS[name]
            wall, cpu = (
                median(results, name, what) / median(results, other, what)
                for what in ("wall", "cpu")
            )
            line += f"   {wall:.2f} wall, {cpu:.2f} processor of {other}; at most {most}"
        lines.append(line)
    sizes = [(PEER / name).stat().st_size for name in ("our.zst", "their.zst")]
    lines += [
        f"nothing changed: at most {_MOST_UNCHANGED_SECONDS} s",
        f"size of ours / theirs: {sizes[0] / sizes[1]:.4f}",
        f"peak memory of our process: {ours.memory_mb:.0f} MB, at most {_MOST_MEMORY_MB}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 3
    compileall.compile_dir(ROOT / "vztmpl", quiet=1)  # as every installer of packages does
    PEER.mkdir(parents=True, exist_ok=True)
    ours, load = Ours(), os.getloadavg()
    try:
        results = measure(rounds, ours)
        text = table(results, ours)
    finally:
        for folder in (NODE, OUT, RECIPES, PEER, Path("/dev/shm/vztmpl-bench-tree")):
            shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(
        f"{text}\nload average: {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after\n"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    host = {"cores": os.cpu_count(), "kernel": platform.release(), "load": load}
    content = {"machine": host, "rounds": results, "memory_mb": ours.memory_mb}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
