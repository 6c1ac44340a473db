"""The workloads, limit and rddlite in turns, and the tables of their ratios."""

from __future__ import annotations

import json
import os
import selectors
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.inputs import text_file
from benchmarks.tree import memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.functions import Workload

LIMIT = "limit"
BASE = "local[2]"
ROOT = Path(__file__).resolve().parents[1]
SAMPLE_EVERY = 0.1
_MEASURES = ("wall", "cpu", "peak")


@dataclass(frozen=True)
class Run:
    """What one run took: seconds, seconds, bytes; and the digest of its answer."""

    wall: float
    cpu: float
    peak: int
    answer: str


@dataclass(frozen=True)
class Result:
    """Medians of the runs of one side (`limit`, or a master) of one workload."""

    workload: str
    side: str
    size: int
    wall: float
    cpu: float
    peak: float


def measure(side: str, workload: str, size: int) -> Run:
    """One run in a fresh process; its memory is sampled from here, so that it costs the run nothing."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "benchmarks.side", side, workload, str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"start\n":
            raise RuntimeError(f"{side} {workload} did not start")
        peak = _sample_until_output(process)
        line = process.stdout.readline()
    if process.returncode or not line:
        raise RuntimeError(f"{side} {workload} ended with {process.returncode}")
    return Run(peak=peak, **json.loads(line))


def _sample_until_output(process: subprocess.Popen[bytes]) -> int:
    peak = 0
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        while True:
            peak = max(peak, memory(process.pid))
            if selector.select(SAMPLE_EVERY):
                return peak


def compare(workload: Workload, factor: float, sides: Sequence[str], runs: int) -> list[Result]:
    """Medians for each side, after checking that all answers are equal. The sides take turns, run by run.

    Raises:
        RuntimeError: if answers differ.
    """
    size = workload.scaled(factor)
    if workload.name == "wordcount":
        text_file(size)
    done: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(runs):
        for side in sides:
            done[side].append(measure(side, workload.name, size))
            _tell(workload.name, side, done[side][-1])
    answers = {side: sorted({run.answer for run in side_runs}) for side, side_runs in done.items()}
    if len(set().union(*answers.values())) != 1:
        raise RuntimeError(f"{workload.name}: answers differ: {answers}")
    return [_medians(workload.name, side, size, side_runs) for side, side_runs in done.items()]


def _tell(workload: str, side: str, run: Run) -> None:
    print(
        f"  {workload} {side}: {run.wall:.2f} s, CPU {run.cpu:.2f} s, {run.peak >> 20} MiB", file=sys.stderr, flush=True
    )


def _medians(workload: str, side: str, size: int, runs: list[Run]) -> Result:
    middle = {name: statistics.median(getattr(run, name) for run in runs) for name in _MEASURES}
    return Result(workload, side, size, **middle)


def table(results: Iterable[Result], units: dict[str, str]) -> str:
    """Markdown: the limit's times, and rddlite's with their ratios to it."""
    by_workload = _by_workload(results)
    head = ["workload", "size", "side", "wall s", "CPU s", "CPU ns per unit", "peak MiB"]
    head += ["wall ratio", "CPU ratio", "memory ratio"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for workload, sides in by_workload.items():
        lines += [_row(result, sides.get(LIMIT), units[workload]) for result in sides.values()]
    return "\n".join(lines)


def masters_table(results: Iterable[Result]) -> str:
    """Markdown: other masters as ratios to local[2], and what this is in CPU seconds; empty if there are none."""
    lines = []
    for workload, sides in _by_workload(results).items():
        base = sides.get(BASE)
        for side, result in sides.items():
            if base is not None and side not in (LIMIT, BASE):
                ratios = " | ".join(f"**{getattr(result, what) / getattr(base, what):.2f}**" for what in _MEASURES)
                lines.append(f"| {workload} | {side} | {ratios} | {result.cpu - base.cpu:+.2f} s |")
    if not lines:
        return ""
    head = ["workload", "master", "wall", "CPU", "memory", "more CPU"]
    title = f"What executors over TCP with CURVE cost, each a host of its own: as a ratio to {BASE} in the same run.\n"
    return "\n".join([title, f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def _by_workload(results: Iterable[Result]) -> dict[str, dict[str, Result]]:
    by_workload: dict[str, dict[str, Result]] = {}
    for result in results:
        by_workload.setdefault(result.workload, {})[result.side] = result
    return by_workload


def _row(result: Result, limit: Result | None, unit: str) -> str:
    ratios = ["", "", ""]
    if limit is not None and limit is not result:
        ratios = [f"**{getattr(result, name) / getattr(limit, name):.2f}**" for name in _MEASURES]
    cells = [
        result.workload, f"{result.size:,} {unit}", result.side, f"{result.wall:.2f}", f"{result.cpu:.2f}",
        f"{result.cpu / result.size * 1e9:.0f}", f"{result.peak / (1 << 20):.0f}", *ratios,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"
