"""What losing one of several executors in the middle of a shuffle costs, as a share of the undisturbed time.

    PYTHONPATH=src python -m benchmarks.losing [--master M] [--runs 5] [--scale 1.0]

Undisturbed runs and runs with a loss take turns, each on a new context whose executors are all there; answers are
compared. One executor gets SIGKILL when it serves its first block (`fetch`: all map outputs are there, a share of
them is lost), or when half of the map outputs are written (`map`). Beside the time stand the attempts that were run
again, as a share of all tasks: no recovery can do with less than what was lost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contexts import ready_context
from benchmarks.functions import keyed, weigh
from benchmarks.machine import describe
from rddlite.testing.faults import Faults

if TYPE_CHECKING:
    from rddlite import Context

SIZE = 12_000_000
MAPS, REDUCES = 32, 16
UNDISTURBED = "undisturbed"
LOSSES = {"fetch": ("serve.block", 0), "map": ("map.commit", MAPS // 2)}
"""Where an executor is killed, after how many passes."""


@dataclass(frozen=True)
class Run:
    """One job."""

    seconds: float
    answer: int
    tasks: int
    attempts: int


def shuffle_all(sc: Context, size: int) -> int:
    """Every record crosses the shuffle."""
    return sc.range(size, numSlices=MAPS).map(keyed).partitionBy(REDUCES).map(weigh).reduce(add)


def measure(master: str, size: int, loss: str) -> Run:
    """Run the job once, with the loss or without."""
    with tempfile.TemporaryDirectory() as folder, Faults(Path(folder)) as faults, ready_context(master) as sc:
        if loss != UNDISTURBED:
            point, after = LOSSES[loss]
            faults.arm(point, "kill-executor", after=after)
        began = time.perf_counter()
        answer = shuffle_all(sc, size)
        seconds = time.perf_counter() - began
        if loss != UNDISTURBED and faults.fired(point) != 1:
            raise RuntimeError(f"no executor was lost at {point}")
        job = sc.jobs()[-1]
        return Run(seconds, answer, job.tasks, job.attempts)


def table(runs: dict[str, list[Run]]) -> str:
    """Markdown."""
    base = statistics.median(run.seconds for run in runs[UNDISTURBED])
    lines = ["| loss | median s | slowest s | time lost | attempts run again |", "|---|---|---|---|---|"]
    for loss, done in runs.items():
        middle, worst = statistics.median(run.seconds for run in done), max(run.seconds for run in done)
        again = statistics.median(run.attempts - run.tasks for run in done)
        share = again / done[0].tasks
        cells = [loss, f"{middle:.2f}", f"{worst:.2f}", f"{middle / base - 1:+.0%}", f"{again:.0f} ({share:.0%})"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Exit code: 1 if answers differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.losing", description="Time the loss of an executor.")
    parser.add_argument("--master", default="local-cluster[4,1,512m]", help="default local-cluster[4,1,512m]")
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind; the median counts (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the size")
    asked = parser.parse_args()
    size = max(1000, int(SIZE * asked.scale))
    machine = describe()
    runs: dict[str, list[Run]] = {loss: [] for loss in (UNDISTURBED, *LOSSES)}
    for _ in range(asked.runs):
        for loss, done in runs.items():
            done.append(measure(asked.master, size, loss))
            print(f"  {loss}: {done[-1].seconds:.2f} s, {done[-1].attempts} attempts", file=sys.stderr, flush=True)
    print(f"\n{machine}; {asked.master}; {size:,} pairs shuffled, {MAPS} map and {REDUCES} reduce tasks.\n")
    print(table(runs))
    return 0 if len({run.answer for done in runs.values() for run in done}) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
