"""Processes end and stop before, in and after a barrier: all tasks run again together, and answers stay exact."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rddlite import BarrierTaskContext, Context
from rddlite.errors import JobFailed
from tests.helpers.background import in_the_background
from tests.helpers.cluster import IMPATIENT, PATIENT, kill, process_of, wait_for_executors, wait_until

TASKS = 2
ANSWER = [(i, ["0", "1"]) for i in range(TASKS)]
Work = Callable[[int, Iterable[int]], Iterable[tuple[int, list[str]]]]


def meeting(marks: Path, *, dies_at: str = "", task: int = 1, waits_for: str = "") -> Work:
    """Tasks that meet, and leave a mark of each step and attempt; one task of the first attempt ends its process, or
    goes on only when there is a mark of this name.
    """

    def step(context: BarrierTaskContext, name: str) -> None:
        (marks / f"{name}-{context.partitionId()}-{context.attemptNumber()}").touch()
        if context.partitionId() == task and context.attemptNumber() == 0:
            if dies_at == name:
                os.kill(os.getpid(), signal.SIGKILL)
            if waits_for and name == "before":
                wait_until((marks / waits_for).exists, "may go on")

    def work(index: int, part: Iterable[int]) -> Iterable[tuple[int, list[str]]]:
        context = BarrierTaskContext.get()
        step(context, "before")
        context.barrier()
        step(context, "between")
        found = context.allGather(str(index))
        step(context, "after")
        return [(index, found)]

    return work


def steps(marks: Path) -> set[str]:
    return set(os.listdir(marks))


@pytest.mark.parametrize("point", ["before", "between", "after"])
def test_a_worker_ends(tmp_path: Path, point: str) -> None:
    with Context(f"local[{TASKS}]", conf=IMPATIENT) as sc:
        rdd = sc.range(TASKS, numSlices=TASKS).barrier()
        assert rdd.mapPartitionsWithIndex(meeting(tmp_path, dies_at=point)).collect() == ANSWER
    assert {f"{name}-{i}-1" for name in ("before", "between", "after") for i in range(TASKS)} <= steps(tmp_path)
    assert not any(mark.endswith("-2") for mark in steps(tmp_path))


def test_a_worker_ends_before_a_shuffle_and_in_each_attempt_that_there_is(tmp_path: Path) -> None:
    def always(part: Iterable[int]) -> Iterable[int]:
        context = BarrierTaskContext.get()
        (tmp_path / str(context.attemptNumber())).touch()
        if context.partitionId():
            os.kill(os.getpid(), signal.SIGKILL)
        context.barrier()
        return part

    with Context(f"local[{TASKS}]", conf={**IMPATIENT, "stage.maxAttempts": 2}) as sc:
        first = meeting(tmp_path, dies_at="between")
        pairs = sc.range(TASKS, numSlices=TASKS).barrier().mapPartitionsWithIndex(first)
        assert sorted(pairs.reduceByKey(lambda a, b: a + b, 3).collect()) == ANSWER
        with pytest.raises(JobFailed, match="its stage was broken off 2 times"):
            sc.range(TASKS, numSlices=TASKS).barrier().mapPartitions(always).collect()
    assert {"0", "1"} <= steps(tmp_path)
    assert "2" not in steps(tmp_path)


def test_an_executor_is_killed_while_another_one_waits_for_it(tmp_path: Path) -> None:
    with Context(f"local-cluster[{TASKS},1,256m]", conf=PATIENT) as sc:
        wait_for_executors(sc, TASKS)

        def end_it() -> None:
            wait_until(lambda: {f"before-{i}-0" for i in range(TASKS)} <= steps(tmp_path), "all tasks run")
            running = {task.partition: each.id for each in sc.executors for task in each.running}
            kill(sc, running[1] if 1 in running else wait_for_executors(sc, TASKS)[1])

        rdd = sc.range(TASKS, numSlices=TASKS).barrier()
        with in_the_background(end_it):
            assert rdd.mapPartitionsWithIndex(meeting(tmp_path, waits_for="never")).collect() == ANSWER
    assert {f"after-{i}-1" for i in range(TASKS)} <= steps(tmp_path)


def test_an_executor_stops_for_a_while(tmp_path: Path) -> None:
    """It is suspected, registers again, and the meeting goes on: nothing runs again."""
    with Context(f"local-cluster[{TASKS},1,256m]", conf=PATIENT) as sc:
        executors = wait_for_executors(sc, TASKS)

        def stop_it() -> None:
            wait_until(lambda: {f"before-{i}-0" for i in range(TASKS)} <= steps(tmp_path), "all tasks run")
            pid = process_of(sc, executors[0])
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_until(
                    lambda: any(each.state == "suspect" for each in sc.executors if each.id == executors[0]), "it is"
                )
                (tmp_path / "go").touch()
            finally:
                os.kill(pid, signal.SIGCONT)

        rdd = sc.range(TASKS, numSlices=TASKS).barrier()
        with in_the_background(stop_it):
            assert rdd.mapPartitionsWithIndex(meeting(tmp_path, waits_for="go")).collect() == ANSWER
    assert not any(mark.endswith("-1") for mark in steps(tmp_path) if mark.startswith("after"))
