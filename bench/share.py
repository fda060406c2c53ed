"""Fair share: busy VEs on one CPU, and what each gets beside its cpuunits.

    python -m bench.share [SECONDS]

Every VE has two processes that count for ever. What a VE used is its own group's cpu.stat, from
the kernel. Prints a table and writes bench/results/share.json.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.peers import BIN, NODE, TEMPLATE, WORK, Ours, attempt, publish, run
from vztmpl import kernel, settings
from vztmpl.ve import cgroup

CASES = ((1000, 3000), (1000, 2000, 3000, 4000))
ALLOWED_PERCENT = 2.0
RESULTS = Path(__file__).parent / "results/share.json"
_FIRST_CTID = 201
_SETTLE_SECONDS = 2
_BUSY = "for i in 1 2; do (while :; do :; done) >/dev/null 2>&1 & done"


def used_us(ctid: int) -> int:
    text = (cgroup.of_ve(settings.load().tag, ctid).v2 / "cpu.stat").read_text()
    return int(dict(line.split() for line in text.splitlines())["usage_usec"])


def measure(units: Sequence[int], seconds: float) -> list[float]:
    """Let VEs compete; return the seconds of CPU time that each got."""
    ctids = range(_FIRST_CTID, _FIRST_CTID + len(units))
    try:
        for ctid, each in zip(ctids, units, strict=True):
            vzctl("create", ctid, "--ostemplate", TEMPLATE, "--cpumask", 0, "--cpuunits", each)
            vzctl("start", ctid)
        for ctid in ctids:
            vzctl("exec", ctid, _BUSY)
        time.sleep(_SETTLE_SECONDS)
        before = [used_us(ctid) for ctid in ctids]
        time.sleep(seconds)
        return [(used_us(ctid) - first) / 1e6 for ctid, first in zip(ctids, before, strict=True)]
    finally:
        for ctid in ctids:
            attempt(BIN / "vzctl", "stop", ctid, "--fast", sysroot=NODE)
            attempt(BIN / "vzctl", "destroy", ctid, sysroot=NODE)


def vzctl(*words: object) -> None:
    run(BIN / "vzctl", "--quiet", *words, sysroot=NODE)


def report(units: Sequence[int], used: Sequence[float]) -> tuple[str, list[dict[str, float]]]:
    lines, rows = [], []
    for each, seconds in zip(units, used, strict=True):
        due, got = each / sum(units) * 100, seconds / sum(used) * 100
        off = (got / due - 1) * 100
        rows.append({"cpuunits": each, "cpu_seconds": seconds, "due": due, "got": got, "off": off})
        lines.append(f"{each:>9} {seconds:>9.2f} {due:>8.2f} {got:>8.2f} {off:>+8.2f}")
    return "\n".join(lines), rows


def main(arguments: Sequence[str]) -> int:
    seconds = float(arguments[0]) if arguments else 20.0
    os.environ["VZ_SYSROOT"] = str(NODE)
    run("rm", "-rf", NODE)
    WORK.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()
    archive = publish()
    kernel.unshare(kernel.CLONE_NEWNET)
    run("ip", "link", "set", "lo", "up")
    found = []
    try:
        Ours().prepare(archive)
        for units in CASES:
            text, rows = report(units, measure(units, seconds))
            sys.stdout.write(
                f"{'cpuunits':>9} {'CPU s':>9} {'due %':>8} {'got %':>8} {'off %':>8}\n"
            )
            sys.stdout.write(f"{text}\n\n")
            found.append(rows)
    finally:
        run("rm", "-rf", NODE, WORK / "repository")
    worst = max(abs(row["off"]) for rows in found for row in rows)
    met = worst <= ALLOWED_PERCENT
    sys.stdout.write(
        f"furthest off {worst:.2f} %, at most {ALLOWED_PERCENT} %: {'met' if met else 'missed'};"
        f" load average {load[0]:.1f}\n"
    )
    RESULTS.parent.mkdir(exist_ok=True)
    content = {"seconds": seconds, "load": load, "worst_percent": worst, "cases": found}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
