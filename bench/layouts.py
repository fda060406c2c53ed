"""What each layout costs: CPU time of its verbs, and room on the disk.

    VZ_SYSROOT=DIR python -m bench.layouts TEMPLATE [ROUNDS]

TEMPLATE is in the cache of that node; VEs 901 to 904 are made there and removed. btrfs is on an
image below DIR. User and system time of our command and of the programs that it runs, in ms.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LAYOUTS = ("overlay", "simfs", "btrfs", "ploop")
STEPS = ("create", "mount", "umount", "snapshot", "switch", "delete", "destroy")
UUID = "11111111-1111-4111-8111-111111111111"
VZCTL = Path(sys.executable).parent / "vzctl"


def cpu_ms(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([VZCTL, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@contextmanager
def btrfs(at: Path) -> Iterator[Path]:
    at.mkdir(parents=True)
    image = at.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(8 << 30)
    subprocess.run(["mkfs.btrfs", "--quiet", image], check=True)
    subprocess.run(["mount", "--options", "loop", image, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)
        shutil.rmtree(at)
        image.unlink()


def used_kb(private: Path, layout: str) -> int:
    """Say what areas take: on btrfs what the whole disk does, as areas share blocks there."""
    subprocess.run(["sync", "--file-system", private], check=True)
    if layout == "btrfs":
        about = os.statvfs(private)
        return (about.f_blocks - about.f_bfree) * about.f_frsize >> 10
    said = subprocess.run(["du", "-sk", private], check=True, capture_output=True, text=True)
    return int(said.stdout.split()[0])


def life(template: str, layout: str, private: Path) -> dict[str, float]:
    ctid = str(901 + LAYOUTS.index(layout))
    where = ("--layout", layout, "--private", f"{private}/$VEID", "--diskspace", "2G")
    limit = where if layout in ("btrfs", "ploop") else where[:4]
    before = used_kb(private, layout)
    took = {"create": cpu_ms("create", ctid, "--ostemplate", template, *limit)}
    took["KB"] = used_kb(private, layout) - before
    for step, words in (
        ("mount", ("mount", ctid)),
        ("umount", ("umount", ctid)),
        ("snapshot", ("snapshot", ctid, "--id", UUID)),
        ("switch", ("snapshot-switch", ctid, "--id", UUID)),
        ("delete", ("snapshot-delete", ctid, "--id", UUID)),
        ("destroy", ("destroy", ctid)),
    ):
        took[step] = cpu_ms(*words)
    return took


def main() -> None:
    template, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    sysroot = Path(os.environ["VZ_SYSROOT"])
    print("layout   " + "".join(f"{step:>10}" for step in (*STEPS, "KB")))
    with btrfs(sysroot / "disks/bench") as on_btrfs:
        for layout in LAYOUTS:
            private = on_btrfs if layout == "btrfs" else sysroot / "vz/private"
            private.mkdir(parents=True, exist_ok=True)
            life(template, layout, private)  # warms up: the base, and btrfs' copy of it
            took = [life(template, layout, private) for _ in range(rounds)]
            middle = {step: statistics.median(one[step] for one in took) for step in took[0]}
            print(f"{layout:<9}" + "".join(f"{middle[step]:>10.0f}" for step in (*STEPS, "KB")))


if __name__ == "__main__":
    main()
