"""What tests on several executors share: small jobs with known answers, waiting for conditions, and the accounts."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from operator import add
from pathlib import Path
from typing import Any

from rddlite import RDD, Context

WORDS = [f"word{i * i % 97}" for i in range(5_000)]
EXPECTED = Counter(WORDS)
MAPS, REDUCES = 6, 4

PATIENCE = 120.0
"""Seconds that anything may take: a busy machine is not a failure."""

IMPATIENT = {
    "executor.heartbeat": "50ms",
    "debug.checkInvariants": "true",
    "progress.show": "false",
}
"""News come fast, and the scheduler checks itself."""

NO_COPIES = {"speculation": "false"}
"""For tests that count how often things ran: what stands still for a second would get a copy elsewhere."""

PATIENT = {**IMPATIENT, "executor.silence": "1h", "executor.grace": f"{PATIENCE}s"}
"""Nobody is given up for being silent: whatever ends a wait was noticed in another way. New ones may take long."""


def counts(sc: Context) -> RDD[tuple[str, int]]:
    """`EXPECTED`, through one shuffle."""
    return sc.parallelize(WORDS, MAPS).map(lambda word: (word, 1)).reduceByKey(add, REDUCES)


def wait_until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """Wait for a condition, and answer with its value.

    Raises:
        TimeoutError: naming what did not happen.
    """
    end = time.monotonic() + timeout
    pause = 0.002
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"this did not happen within {timeout:.0f} s: {what}")
        time.sleep(pause)
        pause = min(1.2 * pause, 0.04)  # looking takes time from those who are waited for
    return value


def wait_for_executors(sc: Context, n: int) -> list[str]:
    """Wait until exactly n executors are alive; their ids."""

    def alive() -> list[str]:
        found = [executor.id for executor in sc.executors if executor.state == "alive"]
        return found if len(found) == n else []

    return list(wait_until(alive, f"{n} executors alive"))


def process_of(sc: Context, executor: str) -> int:
    """The process id of an executor."""
    return next(each.pid for each in sc.executors if each.id == executor)


def kill(sc: Context, executor: str) -> None:
    """SIGKILL to an executor."""
    os.kill(process_of(sc, executor), signal.SIGKILL)


def outputs_of(local_dir: Path, executor: str) -> list[Path]:
    """The data files of the map outputs that an executor holds, where `local.dir` is this directory."""
    return sorted(local_dir.glob(f"rddlite-*/app-*/executor-{executor}/shuffle/*.data"))


def assert_accounted(sc: Context) -> None:
    """No attempt ran without a reason: it was a task's first, a copy, or made up for one that failed or was lost, or
    that had been told of inputs that were elsewhere by then.
    """
    for job in sc.jobs():
        explained = job.lost + job.failed + job.copied + job.outdated
        assert job.attempts <= job.tasks + explained, f"attempts that nothing explains:\n{job}"


def assert_saved(target: Path, expected: Counter[str], n_parts: int) -> None:
    """Exactly the parts are there, with each record once, and nothing beside them."""
    assert sorted(path.name for path in target.iterdir()) == ["_SUCCESS", *(f"part-{i:05d}" for i in range(n_parts))]
    lines = [line.split() for path in target.glob("part-*") for line in path.read_text().splitlines()]
    assert Counter({word: int(n) for word, n in lines}) == expected
    assert len(lines) == len(expected), "a record was saved twice"
    assert [path.name for path in target.parent.iterdir()] == [target.name], "something is left beside the output"
