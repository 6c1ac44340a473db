"""Executors get SIGKILL at every point of a job. Answers stay exact, and no more is done again than what was lost.

The silence limit is an hour throughout: what ends the wait is always that the process was seen to end, and that is what
everybody is told.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.errors import NoExecutors
from rddlite.schedule.events import ExecutorLost
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
from tests.helpers.cluster import (
    EXPECTED,
    MAPS,
    NO_COPIES,
    PATIENT,
    REDUCES,
    assert_accounted,
    assert_saved,
    counts,
    kill,
    outputs_of,
    wait_for_executors,
    wait_until,
)
from tests.helpers.eventlogs import EventLogs

MAP_POINTS = ["task.map", "map.write", "map.commit"]
REDUCE_POINTS = ["task.reduce", "fetch.start", "fetch.block", "serve.block"]


@pytest.fixture(autouse=True)
def told_why(events: EventLogs) -> Iterator[None]:
    """Somebody is lost in each of these tests, always for this reason."""
    yield
    assert {lost.cause for lost in events.of(ExecutorLost)} == {"its process got SIGKILL"}


@pytest.mark.parametrize("point", MAP_POINTS + REDUCE_POINTS)
def test_an_executor_is_killed(faults: Faults, point: str) -> None:
    faults.arm(point, "kill-executor")
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        assert dict(counts(sc).collect()) == EXPECTED
        assert faults.fired(point) == 1
        job = sc.jobs()[-1]
        assert job.lost > 0
        assert_accounted(sc)
        wait_for_executors(sc, 3)
        assert dict(counts(sc).collect()) == EXPECTED
        job = sc.jobs()[-1]
        assert job.attempts == MAPS + REDUCES + job.copied


def test_between_map_and_reduce(faults: Faults, tmp_path: Path) -> None:
    faults.arm("task.reduce", "hold", times=REDUCES)
    with Context("local-cluster[3,1,256m]", conf={**PATIENT, **NO_COPIES, "local.dir": str(tmp_path)}) as sc:
        first = wait_for_executors(sc, 3)[0]
        held: list[Path] = []

        def kill_one() -> None:
            faults.wait_fired("task.reduce")
            held.extend(outputs_of(tmp_path, first))
            kill(sc, first)
            wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
            faults.release("task.reduce")

        with in_the_background(kill_one):
            assert dict(counts(sc).collect()) == EXPECTED
        maps, reduces = sc.jobs()[-1].stages
        assert maps.attempts == MAPS + len(held), "only what was lost is computed again"
        assert reduces.attempts == REDUCES + reduces.lost + reduces.failed


def test_between_two_jobs(tmp_path: Path) -> None:
    with Context("local-cluster[3,1,256m]", conf={**PATIENT, "local.dir": str(tmp_path)}) as sc:
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        first = next(each for each in wait_for_executors(sc, 3) if outputs_of(tmp_path, each))
        held = outputs_of(tmp_path, first)
        kill(sc, first)
        wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
        assert dict(summed.collect()) == EXPECTED
        job = sc.jobs()[-1]
        assert job.attempts == len(held) + REDUCES + job.copied, "only what was lost is computed again"


def test_the_next_job_comes_at_once() -> None:
    """Nothing runs when they die. Launches may go to who is dead, or the end may be known before."""
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        for _ in range(3):
            summed = counts(sc)
            assert dict(summed.collect()) == EXPECTED
            kill(sc, wait_for_executors(sc, 3)[0])
            assert dict(summed.collect()) == EXPECTED
            assert_accounted(sc)


@pytest.mark.parametrize("point", ["task.map", "serve.block"])
def test_two_at_once(faults: Faults, point: str) -> None:
    for executor in ("0", "2"):
        faults.arm(point, "kill-executor", executor=executor)
    with Context("local-cluster[4,1,256m]", conf=PATIENT) as sc:
        assert dict(counts(sc).collect()) == EXPECTED
        assert [faults.fired(point, executor=each) for each in ("0", "2")] == [1, 1]
        assert_accounted(sc)
        wait_for_executors(sc, 4)


def test_all_of_them_are_replaced(faults: Faults) -> None:
    for executor in ("0", "1", "2"):
        faults.arm("task.reduce", "kill-executor", executor=executor)
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        assert dict(counts(sc).collect()) == EXPECTED
        assert sum(faults.fired("task.reduce", executor=each) for each in ("0", "1", "2")) == 3
        assert_accounted(sc)
        assert set(wait_for_executors(sc, 3)).isdisjoint({"0", "1", "2"})


def test_all_of_them_at_once() -> None:
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        for executor in sc.executors:
            os.kill(executor.pid, signal.SIGKILL)
        assert dict(summed.collect()) == EXPECTED
        assert_accounted(sc)


def test_all_of_them_for_good(faults: Faults) -> None:
    """Whoever runs a task of this job dies, and so do those who come instead."""
    faults.arm("task.map", "kill-executor", times=1000)
    conf = {**PATIENT, "executor.restarts": 3}
    with Context("local-cluster[2,1,256m]", conf=conf) as sc:
        with pytest.raises(NoExecutors, match="its process got SIGKILL"):
            counts(sc).collect()
        assert sc.jobs()[-1].state == "failed"


@pytest.mark.parametrize("point", ["task.map", "fetch.block", "serve.block", "task.reduce", "output.write"])
def test_output_is_saved_exactly_once(faults: Faults, tmp_path: Path, point: str) -> None:
    faults.arm(point, "kill-executor")
    target = tmp_path / "there" / "out"
    target.parent.mkdir()
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        counts(sc).map(lambda count: f"{count[0]} {count[1]}").saveAsTextFile(target)
        assert faults.fired(point) == 1
        assert_accounted(sc)
    assert_saved(target, EXPECTED, REDUCES)


@pytest.mark.parametrize("n_killed", [1, 3])
def test_executors_are_killed_while_the_driver_publishes(faults: Faults, tmp_path: Path, n_killed: int) -> None:
    faults.arm("output.publish", "hold")
    target = tmp_path / "there" / "out"
    target.parent.mkdir()
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:

        def kill_some() -> None:
            faults.wait_fired("output.publish")
            victims = wait_for_executors(sc, 3)[:n_killed]
            for victim in victims:
                kill(sc, victim)
            wait_until(lambda: {each.id for each in sc.executors}.isdisjoint(victims), "the loss is noticed")
            faults.release("output.publish")

        with in_the_background(kill_some):
            counts(sc).map(lambda count: f"{count[0]} {count[1]}").saveAsTextFile(target)
        job = sc.jobs()[-1]
        assert job.attempts == MAPS + REDUCES + job.copied
    assert_saved(target, EXPECTED, REDUCES)
