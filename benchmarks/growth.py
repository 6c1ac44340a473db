"""Whether cost grows linearly: word count, sort and join at 1, 2, 4 and 8 times a size, and the time per record.

    PYTHONPATH=src python -m benchmarks.growth [WORKLOAD ...] [--master M] [--runs 3] [--scale 1.0]

The sizes take turns, run by run, so that a change of the machine's mood meets all of them. The largest deviation of
the wall and CPU time per record from those at the smallest size should stay below 15 %.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmarks.inputs import CACHE
from benchmarks.machine import describe, today, versions
from benchmarks.ratios import BASE, Result, Run, measure, medians
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

GROWING = ("wordcount", "sort", "join")
TIMES = (1, 2, 4, 8)
SMALLEST = 0.2
"""What "1 x" is, as a share of the workload's size."""
MOST = 0.15


def grow(name: str, master: str, runs: int, scale: float) -> list[Result]:
    """Medians at each size, smallest first."""
    workload = WORKLOADS[name]
    sizes = [workload.scaled(SMALLEST * scale) * times for times in TIMES]
    done: dict[int, list[Run]] = {size: [] for size in sizes}
    for size in sizes:
        workload.prepare(size, CACHE)
    for _ in range(runs):
        for size, so_far in done.items():
            so_far.append(measure(master, name, size))
            print(
                f"  {name}, {size:,}: {so_far[-1].wall:.2f} s, CPU {so_far[-1].cpu:.2f} s", file=sys.stderr, flush=True
            )
    return [medians(name, master, size, so_far) for size, so_far in done.items()]


def deviations(results: Sequence[Result], measured: str) -> list[float]:
    """By how much the time per record differs from that of the first, as a share."""
    per_record = [getattr(result, measured) / result.size for result in results]
    return [time / per_record[0] - 1 for time in per_record]


def table(grown: dict[str, list[Result]]) -> str:
    """Markdown: one line a workload and size."""
    head = ["workload", "size", "wall s", "CPU s", "wall ns per unit", "CPU ns per unit", "wall", "CPU"]
    lines = [head, ["---"] * len(head)]
    for name, results in grown.items():
        walls, cpus = deviations(results, "wall"), deviations(results, "cpu")
        lines += [
            [
                name, f"{result.size:,} {WORKLOADS[name].unit}", f"{result.wall:.2f}", f"{result.cpu:.2f}",
                f"{result.wall / result.size * 1e9:.0f}", f"{result.cpu / result.size * 1e9:.0f}",
                f"{wall:+.0%}", f"{cpu:+.0%}",
            ]
            for result, wall, cpu in zip(results, walls, cpus, strict=True)
        ]  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def is_linear(results: Sequence[Result]) -> bool:
    """Whether no size takes much more per record than the smallest. (Less is welcome: starting costs spread.)"""
    return max(*deviations(results, "wall"), *deviations(results, "cpu")) <= MOST


def main() -> int:
    """Exit code: 1 if cost grows faster than the input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="Time growing inputs.")
    parser.add_argument("workloads", nargs="*", default=list(GROWING), help=f"default: {', '.join(GROWING)}")
    parser.add_argument("--master", default=BASE, help=f"default {BASE}; `limit` times the hand-written programs")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size; the median counts (default 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all sizes")
    asked = parser.parse_args()
    if unknown := set(asked.workloads) - set(WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    machine = describe()
    grown = {name: grow(name, asked.master, asked.runs, asked.scale) for name in asked.workloads}
    print(f"\n{machine}; {versions({})}; {today()}; {asked.master}; medians of {asked.runs} runs.\n")
    print(table(grown))
    faster = [name for name, results in grown.items() if not is_linear(results)]
    if faster:
        print(f"\nTime per record grows by more than {MOST:.0%}: {', '.join(faster)}.")
    return 1 if faster else 0


if __name__ == "__main__":
    sys.exit(main())
