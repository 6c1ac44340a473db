"""The workloads, all sides in turns: fresh processes, memory sampled from outside, answers compared, medians taken."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.inputs import CACHE
from benchmarks.tree import memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.workloads import Workload

LIMIT = "limit"
BASE = "local[2]"
ROOT = Path(__file__).resolve().parents[1]
SAMPLE_EVERY = 0.1
_STARTING, _CLOSING = 300.0, 30.0
"""Seconds until a side is ready, and until it has ended when it has answered or is told to."""
MEASURES = ("wall", "cpu", "peak", "largest")


class SideFailed(Exception):
    """A run that gave no answer, with the reason."""


@dataclass(frozen=True)
class Run:
    """What one run took: seconds, seconds, bytes of all processes, bytes of the largest; and its answer's digest."""

    wall: float
    cpu: float
    peak: int
    largest: int
    answer: str


@dataclass(frozen=True)
class Result:
    """Medians of the runs of one side (`limit`, a peer, or a master) of one workload."""

    workload: str
    side: str
    size: int
    wall: float
    cpu: float
    peak: float
    largest: float


@dataclass
class Compared:
    """What came of one or several workloads: results, and in words what went wrong."""

    results: list[Result] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def environment() -> dict[str, str]:
    """For processes that import this tree."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def measure(side: str, workload: str, size: int, longest: float = 3600.0) -> Run:
    """One run in a fresh process; its memory is sampled from here, so that it costs the run nothing.

    Raises:
        SideFailed: if it ends without an answer, is never ready, or has no answer after `longest` seconds.
    """
    command = [sys.executable, "-m", "benchmarks.side", side, workload, str(size)]
    # In a session of its own: whatever it started can be ended with it.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=environment(), cwd=ROOT, start_new_session=True
    ) as process:
        try:
            return _watch(process, f"{workload} on {side}", longest)
        finally:
            _end(process)


def _watch(process: subprocess.Popen[bytes], name: str, longest: float) -> Run:
    assert process.stdout is not None
    if _sample_until_output(process, _STARTING) is None:
        raise SideFailed(f"{name} was not ready after {_STARTING:.0f} s")
    if process.stdout.readline() != b"start\n":
        raise SideFailed(f"{name} did not start")
    peak = _sample_until_output(process, longest)
    if peak is None:
        raise SideFailed(f"{name} had no answer after {longest:.0f} s")
    line = process.stdout.readline()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_CLOSING)
    if process.returncode or not line:
        raise SideFailed(f"{name} ended with {process.returncode}")
    return Run(peak=peak[0], largest=peak[1], **json.loads(line))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it clean up, if it still runs, and leave nothing of it."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_CLOSING)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _sample_until_output(process: subprocess.Popen[bytes], longest: float) -> tuple[int, int] | None:
    """The highest memory until it wrote something or ended; None if it did neither in that time."""
    peak = largest = 0
    ends = time.monotonic() + longest
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        while (left := ends - time.monotonic()) > 0:
            all_now, largest_now = memory(process.pid)
            peak, largest = max(peak, all_now), max(largest, largest_now)
            if selector.select(min(SAMPLE_EVERY, left)):
                return peak, largest
    return None


def compare(
    workload: Workload,
    factor: float,
    sides: Sequence[str],
    runs: int,
    longest: float = 3600.0,
    fewer: Mapping[str, int] | None = None,
) -> Compared:
    """Medians for each side that ended, after comparing all answers. The sides take turns, run by run.

    `fewer` says of single sides that they are run less often. A side that fails is not tried again. If answers differ,
    that is a failure, and there are no medians.
    """
    size = workload.scaled(factor)
    workload.prepare(size, CACHE)
    done: dict[str, list[Run]] = {side: [] for side in sides}
    compared = Compared()
    for turn in range(runs):
        for side in [each for each in done if turn < (fewer or {}).get(each, runs)]:
            try:
                done[side].append(measure(side, workload.name, size, longest))
            except SideFailed as failure:
                compared.failures.append(str(failure))
                del done[side]
            else:
                _tell(workload.name, side, done[side][-1])
    answers = {side: sorted({run.answer for run in side_runs}) for side, side_runs in done.items()}
    if len(set().union(*answers.values())) > 1:
        compared.failures.append(f"{workload.name}: answers differ: {answers}")
    else:
        compared.results = [medians(workload.name, side, size, side_runs) for side, side_runs in done.items()]
    return compared


def _tell(workload: str, side: str, run: Run) -> None:
    sizes = f"{run.peak >> 20} MiB, largest process {run.largest >> 20} MiB"
    print(f"  {workload} {side}: {run.wall:.2f} s, CPU {run.cpu:.2f} s, {sizes}", file=sys.stderr, flush=True)


def medians(workload: str, side: str, size: int, runs: Sequence[Run]) -> Result:
    """Of each measure by itself."""
    middle = {name: statistics.median(getattr(run, name) for run in runs) for name in MEASURES}
    return Result(workload, side, size, **middle)
