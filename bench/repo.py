"""Publishing and fetching: ours beside curl, zstd and GNU tar, which do the same without checking.

    python -m bench.repo [ROUNDS]

A real pair of builds of one template, without and with the security fixes of today, goes through a
repository served on loopback. Wall time and CPU time are of whole commands; both sides are run in
turn. Prints a table and writes bench/results/repo.json.
"""

import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.peers import BIN, ROOT, run
from vztmpl import kernel
from vztmpl.build.sources import host_sources
from vztmpl.settings import CHECKOUT
from vztmpl.template.signature import Keyring

WORK = ROOT / "cache/bench-repo"
NODE, MAKER, REPOSITORY, PLAIN = (WORK / name for name in ("node", "maker", "www", "plain"))
TEMPLATE = "debian-12-x86_64-standard"
RESULTS = Path(__file__).parent / "results/repo.json"
MANY = 1000
URL = "http://127.0.0.1:8323"

_UNPACK = """
import json, sys
from pathlib import Path
from vztmpl.template import archive
manifest = json.load(open(sys.argv[1]))
archive.unpack(Path(sys.argv[2]), Path(sys.argv[3]), manifest["digest"], manifest["unpacked_bytes"])
"""


@dataclass
class Took:
    """What a command, with all that it started, needed."""

    wall: float
    cpu: float
    memory_mb: float


def timed(*argv: object, sysroot: Path = NODE) -> Took:
    began = time.perf_counter()
    env = {**os.environ, "VZ_SYSROOT": str(sysroot), "PYTHONPATH": str(CHECKOUT)}
    child = subprocess.Popen(
        [str(word) for word in argv], env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{argv}: {said.decode()}")
    wall = time.perf_counter() - began
    return Took(wall=wall, cpu=used.ru_utime + used.ru_stime, memory_mb=used.ru_maxrss / 1024)


def build_pair() -> list[Path]:
    """Build the template without and with the security fixes of today."""
    archives = [MAKER / f"{kind}/{TEMPLATE}.tar.zst" for kind in ("old", "new")]
    if not (MAKER / "var/lib/vztmpl/keys").is_dir():
        name = ("--name", "Benchmark", "--email", "bench@example.org")
        run(BIN / "vztmpl", "key", "generate", *name, sysroot=MAKER)
    before = ("--mirror", host_sources().main)
    for archive, options in zip(archives, (before, ()), strict=True):
        if not archive.exists():
            out = ("--out", archive.parent)
            run(BIN / "vztmpl", "build", TEMPLATE, *options, *out, sysroot=MAKER)
            time.sleep(60 - time.time() % 60)  # a serial is a minute
    return archives


@contextmanager
def served() -> Iterator[None]:
    REPOSITORY.mkdir(parents=True, exist_ok=True)
    port = URL.rpartition(":")[2]
    words = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"]
    with subprocess.Popen(
        words, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        time.sleep(0.5)
        try:
            yield
        finally:
            server.terminate()


def empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def new_node() -> None:
    empty(NODE)
    key = ("--key", REPOSITORY / "key.asc")
    run(BIN / "vztmpl", "remote", "add", "bench", URL, *key, sysroot=NODE)


def publish(archive: Path) -> Took:
    return timed(BIN / "vztmpl", "publish", REPOSITORY, archive, sysroot=MAKER)


def fetch() -> Took:
    new_node()
    return timed(BIN / "vztmpl", "fetch", TEMPLATE)


def fetch_plainly(path: str) -> Took:
    tar = f"tar -xp --xattrs --xattrs-include='*' --acls -C {empty(PLAIN)}"
    return timed("sh", "-c", f"curl -s {URL}/{path} | zstd -dc | {tar}; sync -f {PLAIN}")


def unpack(archive: Path) -> Took:
    manifest = archive.with_name(f"{TEMPLATE}.json")
    return timed(sys.executable, "-c", _UNPACK, manifest, archive, empty(PLAIN))


def unpack_plainly(archive: Path) -> Took:
    return timed(
        "tar", "--zstd", "-xpf", archive, "--xattrs", "--xattrs-include=*", "--acls",
        "-C", empty(PLAIN),
    )  # fmt: skip


def make_crowd(archive: Path) -> Path:
    """Make a repository of many templates, of which only the index and the folders are there."""
    crowd = empty(WORK / "crowd")
    run(BIN / "vztmpl", "publish", crowd, archive, sysroot=MAKER)
    value = json.loads((crowd / "index.json").read_text())
    (entry,) = value["templates"]
    for number in range(MANY):
        other = json.dumps(entry).replace(TEMPLATE, f"many-{number}-x86_64-standard")
        value["templates"].append(json.loads(other))
        (crowd / value["templates"][-1]["path"]).mkdir(parents=True)
    keyring = Keyring(MAKER / "var/lib/vztmpl/keys")
    text = json.dumps(value, indent=1).encode()
    signed = keyring.sign(text, keyring.signing_key(), clear=True)
    (crowd / "index.json.asc").write_bytes(signed)
    shutil.rmtree(crowd / entry["path"])
    return crowd


def measure(old: Path, new: Path, rounds: int) -> dict[str, list[Took]]:
    took: dict[str, list[Took]] = {}

    def take(name: str, call: Callable[[], Took]) -> None:
        took.setdefault(name, []).append(call())

    empty(REPOSITORY)
    with served():
        take("publish", lambda: publish(old))
        path = str(next(REPOSITORY.rglob("*.tar.zst")).relative_to(REPOSITORY))
        for _ in range(rounds):
            take("fetch", fetch)
            take("curl | zstd | tar", lambda: fetch_plainly(path))
            take("unpack", lambda: unpack(old))
            take("tar --zstd", lambda: unpack_plainly(old))
        shutil.rmtree(WORK / "saved", ignore_errors=True)
        run("cp", "-a", NODE, WORK / "saved")
        take("publish with a delta", lambda: publish(new))
        for _ in range(rounds):
            shutil.rmtree(NODE)
            run("cp", "-a", WORK / "saved", NODE)
            take("fetch a delta", lambda: timed(BIN / "vztmpl", "fetch", TEMPLATE))
    take_crowd(take, old, rounds)
    return took


def take_crowd(take: Callable[[str, Callable[[], Took]], None], old: Path, rounds: int) -> None:
    crowd = make_crowd(old)
    empty(NODE)
    key = ("--key", crowd / "key.asc")
    run(BIN / "vztmpl", "remote", "add", "bench", crowd.as_uri(), *key, sysroot=NODE)
    run(BIN / "vztmpl", "update", sysroot=NODE)
    for _ in range(rounds):
        take("available, of many", lambda: timed(BIN / "vztmpl", "available", "--json"))
        shutil.rmtree(crowd / f"templates/{TEMPLATE}", ignore_errors=True)
        take(
            "publish into many",
            lambda: timed(BIN / "vztmpl", "publish", crowd, old, sysroot=MAKER),
        )


def sizes() -> dict[str, int]:
    index = json.loads((REPOSITORY / "index.json").read_text())
    newest = max(index["templates"], key=lambda entry: entry["serial"])
    (delta,) = newest["deltas"]
    changed = newest["changes"]["changed"]
    return {
        "archive": newest["size_bytes"],
        "delta": newest["files"][delta["file"]]["size_bytes"],
        "packages_changed": len(changed),
    }


def table(took: dict[str, list[Took]], size: dict[str, int]) -> str:
    def middle(name: str, what: str) -> float:
        return statistics.median([float(getattr(one, what)) for one in took[name]])

    def ratio(ours: str, theirs: str, wanted: float) -> str:
        by_cpu, by_wall = (middle(ours, w) / middle(theirs, w) for w in ("cpu", "wall"))
        return f"{ours} / {theirs}: CPU {by_cpu:.2f}, wall {by_wall:.2f}, wanted {wanted}"

    lines = [f"{'':<22}{'wall s':>9}{'CPU s':>9}{'memory MB':>11}"]
    lines += [
        f"{name:<22}{middle(name, 'wall'):>9.2f}{middle(name, 'cpu'):>9.2f}"
        f"{middle(name, 'memory_mb'):>11.0f}"
        for name in took
    ]
    lines.append(ratio("fetch", "curl | zstd | tar", 1.15))
    lines.append(ratio("unpack", "tar --zstd", 1.1))
    lines.append(
        f"delta: {size['delta'] / 1e6:.2f} of {size['archive'] / 1e6:.1f} MB, "
        f"{100 * size['delta'] / size['archive']:.1f} %, "
        f"{size['packages_changed']} packages changed; wanted 5 % for a week"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    rounds = int(arguments[0]) if arguments else 5
    compileall.compile_dir(ROOT / "vztmpl", quiet=1)  # as every installer of packages does
    WORK.mkdir(parents=True, exist_ok=True)
    old, new = build_pair()
    load = os.getloadavg()
    kernel.unshare(kernel.CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")
    took = measure(old, new, rounds)
    size = sizes()
    sys.stdout.write(table(took, size) + "\n")
    content = {
        "load": load,
        "sizes": size,
        "took": {name: [asdict(one) for one in every] for name, every in took.items()},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    for path in (NODE, REPOSITORY, PLAIN, WORK / "saved", WORK / "crowd"):
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
