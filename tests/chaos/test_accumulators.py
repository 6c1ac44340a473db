"""Workers and map outputs are lost while tasks add to accumulators: every partition counts exactly once."""

from __future__ import annotations

import glob
import os
import random
import time
from operator import add
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context
from rddlite.errors import JobCancelled, JobFailed
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
from tests.helpers.cluster import PATIENT, kill, wait_for_executors, wait_until

RECORDS = 600
PARTITIONS = 6
WORKERS_DIE = {"task.maxDeaths": 20}


def remainders(sc: Context, seen: Any) -> Any:
    """Sums by remainder; what is before the shuffle counts each record."""
    return sc.range(RECORDS, numSlices=PARTITIONS).map(lambda x: (seen.add(1), (x % 7, x))[1]).reduceByKey(add, 4)


EXPECTED = {k: sum(range(k, RECORDS, 7)) for k in range(7)}


@pytest.mark.parametrize("point", ["task.map", "map.write", "task.reduce", "task.result"])
@pytest.mark.parametrize("times", [1, 4])
def test_workers_die(faults: Faults, point: str, times: int) -> None:
    with Context("local[2]", conf=WORKERS_DIE) as sc:
        faults.arm(point, "kill", times=times)
        mapped, reduced, called = (sc.accumulator(0) for _ in range(3))
        found = remainders(sc, mapped).map(lambda pair: (reduced.add(pair[1]), pair)[1])
        assert dict(found.collect()) == EXPECTED
        sc.range(RECORDS, numSlices=PARTITIONS).foreach(lambda x: called.add(x))
        assert faults.fired(point) == times
        assert (mapped.value, reduced.value, called.value) == (RECORDS, sum(range(RECORDS)), sum(range(RECORDS)))


def test_a_worker_dies_after_it_added(tmp_path: Path) -> None:
    """Every second attempt dies at its last record: what it had added until then is gone with it."""

    def die_once(index: int, records: Any) -> Any:
        for x in records:
            seen.add(1)
            yield x
        marker = tmp_path / str(index)
        if not marker.exists():
            marker.touch()
            os._exit(3)

    with Context("local[2]", conf=WORKERS_DIE) as sc:
        seen = sc.accumulator(0)
        assert sc.range(RECORDS, numSlices=PARTITIONS).mapPartitionsWithIndex(die_once).count() == RECORDS
        assert seen.value == RECORDS


def test_map_outputs_that_are_computed_again_count_once(tmp_path: Path) -> None:
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as sc:
        seen = sc.accumulator(0)
        sums = remainders(sc, seen)
        assert dict(sums.collect()) == EXPECTED
        for _ in range(2):
            for path in glob.glob(f"{tmp_path}/rddlite-*/app-*/executor-0/shuffle/*.data")[:3]:
                os.unlink(path)
            assert dict(sums.collect()) == EXPECTED
        assert sum(stage.attempts for job in sc.jobs()[1:] for stage in job.stages if stage.kind == "map") >= 6
        assert seen.value == RECORDS


def test_map_outputs_lost_within_the_job_count_once(faults: Faults, tmp_path: Path) -> None:
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as sc:
        seen = sc.accumulator(0)

        def lose(records: Any) -> Any:
            for path in glob.glob(f"{tmp_path}/rddlite-*/app-*/executor-0/shuffle/*.data")[:2]:
                if not (tmp_path / "lost").exists():
                    os.unlink(path)
            (tmp_path / "lost").touch()
            return records

        def later(index: int, records: Any) -> Any:
            return records if index else lose(records)

        twice = remainders(sc, seen).mapPartitionsWithIndex(later, True).map(lambda kv: kv[::-1]).groupByKey(3)
        assert {k: v for v, (k,) in twice.mapValues(list).collect()} == EXPECTED
        assert max(stage.attempts - stage.tasks for stage in sc.jobs()[-1].stages) >= 1
        assert seen.value == RECORDS


def test_executors_are_killed(tmp_path: Path, faults: Faults) -> None:
    faults.arm("task.reduce", "kill-executor")
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as sc:
        seen, summed = sc.accumulator(0), sc.accumulator(0)
        found = remainders(sc, seen).map(lambda pair: (summed.add(pair[1]), pair)[1])
        assert dict(found.collect()) == EXPECTED
        assert faults.fired("task.reduce") == 1
        assert (seen.value, summed.value) == (RECORDS, sum(range(RECORDS)))


def test_attempts_that_raise_add_nothing(tmp_path: Path) -> None:
    def fail_twice(index: int, records: Any) -> Any:
        seen.add(1)
        tries = len(list(tmp_path.glob(f"{index}-*")))
        (tmp_path / f"{index}-{tries}").touch()
        if tries < 2:
            raise ValueError(f"try {tries}")
        return records

    with Context("local[2,3]", conf={"task.failFast": False}) as sc:
        seen = sc.accumulator(0)
        assert sc.range(RECORDS, numSlices=PARTITIONS).mapPartitionsWithIndex(fail_twice).count() == RECORDS
        assert seen.value == PARTITIONS


def test_killed_tasks_add_nothing() -> None:
    def slow(index: int, records: Any) -> Any:
        seen.add(1)
        if index == 0:
            raise ValueError("the end")
        time.sleep(60)

    with Context("local[2]") as sc:
        seen = sc.accumulator(0)
        with pytest.raises(JobFailed, match="the end"):
            sc.range(4, numSlices=2).mapPartitionsWithIndex(slow).count()
        assert sc.range(4, numSlices=2).count() == 4
        assert seen.value == 0


def test_what_a_cancelled_job_computed_counts_once_in_the_next(faults: Faults) -> None:
    """The map stage of a cancelled job is finished by the next one, and none of its outputs counts twice."""
    with Context("local[2]") as sc:
        seen = sc.accumulator(0)
        sums = remainders(sc, seen)
        faults.arm("task.map", "hold", times=PARTITIONS, after=3)

        def cancel() -> None:
            faults.wait_fired("task.map")
            sc.cancelAllJobs()
            faults.release("task.map")

        with in_the_background(cancel), pytest.raises(JobCancelled):
            sums.collect()
        assert dict(sums.collect()) == EXPECTED
        assert seen.value == RECORDS


def test_what_is_rolled_back_is_replaced(faults: Faults) -> None:
    """Reducers that are done run again, because what they read is not what the others can read: all count once."""
    faults.arm("task.reduce", "hold", times=100, after=2)
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
        wait_for_executors(sc, 2)
        mapped, reduced = sc.accumulator(0), sc.accumulator(0)

        def kill_one() -> None:
            faults.wait_fired("task.reduce")
            victim = wait_until(lambda: faults.executors("task.reduce")[0], "it is known who is held")
            kill(sc, victim)
            wait_until(lambda: victim not in [each.id for each in sc.executors], "the loss is noticed")
            faults.release("task.reduce")

        with in_the_background(kill_one):
            pairs = sc.range(RECORDS, numSlices=PARTITIONS).map(lambda x: (mapped.add(x), (random.random(), x))[1])
            found = pairs.partitionBy(6).map(lambda pair: (reduced.add(pair[1]), pair[1])[1]).collect()
        assert sorted(found) == list(range(RECORDS))
        assert (mapped.value, reduced.value) == (sum(range(RECORDS)), sum(range(RECORDS)))


def test_copies_of_slow_tasks_count_once(faults: Faults) -> None:
    """Of two attempts at once only the one that is taken counts, whichever it is."""
    conf = {**PATIENT, "speculation": "true", "speculation.minimum": "100ms"}
    with Context("local-cluster[2,2,256m]", conf=conf) as sc:
        wait_for_executors(sc, 2)
        faults.arm("task.result", "hold", times=1, after=6)
        seen = sc.accumulator(0)
        assert sc.range(400, numSlices=8).map(lambda x: (seen.add(1), x)[1]).count() == 400
        assert faults.fired("task.result") == 1
        assert seen.value == 400
        faults.release("task.result")
        assert sc.range(400, numSlices=8).count() == 400
        assert seen.value == 400
