"""Whoever keeps cached partitions is killed, idle or in the middle of a job: the answers stay exact."""

from __future__ import annotations

import os
import signal
from operator import add
from pathlib import Path

import pytest

from rddlite import RDD, Context, StorageLevel
from rddlite.base.ids import ShuffleId
from rddlite.driver.stages import StageBlobs
from rddlite.schedule.commands import FindCached
from tests.helpers.cluster import PATIENT, assert_accounted, kill, wait_for_executors, wait_until

RECORDS = 3000
N = 6
LEVELS = [StorageLevel.MEMORY_ONLY, StorageLevel.OFF_HEAP, StorageLevel.MEMORY_AND_DISK, StorageLevel.DISK_ONLY]
SUMS = {k: sum(x for x in range(RECORDS) if x % 7 == k) for k in range(7)}


def sums_of(sc: Context, level: StorageLevel) -> RDD[tuple[int, int]]:
    """A cached RDD that rests on a shuffle, filled."""
    kept = sc.range(RECORDS, numSlices=4).map(lambda x: (x % 7, x)).reduceByKey(add, N).persist(level)
    assert dict(kept.collect()) == SUMS
    return kept


def n_kept(sc: Context) -> int:
    return sc.getRDDStorageInfo()[0].numCachedPartitions


def hits(sc: Context) -> int:
    return sum(stage.cache_hits for stage in sc.jobs()[-1].stages)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_the_worker_that_keeps_them_is_killed(level: StorageLevel) -> None:
    with Context("local[1]", conf=PATIENT) as sc:
        kept = sums_of(sc, level)
        (worker,) = sc.executors[0].workers
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: sc.executors[0].workers not in ([], [worker]), "another worker")
        assert n_kept(sc) == (N if level == StorageLevel.DISK_ONLY else 0)
        assert dict(kept.collect()) == SUMS
        assert sc.jobs()[-1].attempts == N, "what was kept needs no map task again"
        assert hits(sc) == (N if level == StorageLevel.DISK_ONLY else 0)
        assert dict(kept.collect()) == SUMS
        assert hits(sc) == N
        assert_accounted(sc)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_a_task_that_reads_them_kills_its_worker(level: StorageLevel, tmp_path: Path) -> None:
    with Context("local[2]", conf=PATIENT) as sc:
        kept = sums_of(sc, level)
        once = tmp_path / "once"

        def deadly(pair: tuple[int, int]) -> tuple[int, int]:
            try:
                once.touch(exist_ok=False)
            except FileExistsError:
                return pair
            os.kill(os.getpid(), signal.SIGKILL)
            return pair

        assert dict(kept.map(deadly).collect()) == SUMS
        job = sc.jobs()[-1]
        assert (job.attempts, job.failed) == (N + 1, 1)
        assert dict(kept.collect()) == SUMS
        assert_accounted(sc)


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_the_executor_that_keeps_them_is_killed(level: StorageLevel) -> None:
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        first = wait_for_executors(sc, 3)[0]
        kept = sums_of(sc, level)
        kill(sc, first)
        wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
        for _ in range(2):
            assert dict(kept.collect()) == SUMS
        assert n_kept(sc) == N
        assert_accounted(sc)


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY_2, StorageLevel.DISK_ONLY_2], ids=str)
def test_nothing_is_computed_again_where_another_executor_keeps_it(level: StorageLevel) -> None:
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        first = wait_for_executors(sc, 3)[0]
        calls = sc.accumulator(0)

        def counted(x: int) -> tuple[int, int]:
            calls.add(1)
            return x % 7, x

        kept = sc.range(RECORDS, numSlices=N).map(counted).persist(level)
        assert kept.count() == RECORDS
        caches, mark = sc._live_driver()._caches, kept._node.cached
        assert mark is not None
        wait_until(lambda: all(len(caches.holders((mark.id, i))) == 2 for i in range(N)), "all copies are made")
        kill(sc, first)
        wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
        for _ in range(2):
            assert dict(kept.reduceByKey(add, 2).collect()) == SUMS
            assert hits(sc) == N
        assert calls.value == RECORDS
        wait_until(lambda: all(len(caches.holders((mark.id, i))) == 2 for i in range(N)), "lost copies are made again")
        assert_accounted(sc)


def test_what_others_copied_outlives_the_worker_that_had_it_in_memory() -> None:
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
        wait_for_executors(sc, 2)
        kept = sums_of(sc, StorageLevel.MEMORY_ONLY_2)
        caches, mark = sc._live_driver()._caches, kept._node.cached
        assert mark is not None
        wait_until(lambda: all(len(caches.holders((mark.id, i))) == 2 for i in range(N)), "all copies are made")
        before = [each.workers for each in sc.executors]
        for workers in before:
            os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: all(each.workers not in ([], *before) for each in sc.executors), "other workers")
        assert dict(kept.collect()) == SUMS
        assert hits(sc) == N
        assert_accounted(sc)


def with_copies(sc: Context, level: StorageLevel) -> tuple[RDD[tuple[int, int]], str]:
    """A cached RDD of which each partition is on two executors, and one that has map outputs of it."""
    kept = sums_of(sc, level)
    driver, mark = sc._live_driver(), kept._node.cached
    assert mark is not None
    wait_until(lambda: all(len(driver._caches.holders((mark.id, i))) == 2 for i in range(N)), "all copies are made")
    (outputs,) = driver._loop._scheduler.parts()[0].outputs.shuffles.values()
    return kept, next(place[0] for place in outputs.places if place is not None)


def lose(sc: Context, executor: str) -> None:
    kill(sc, executor)
    wait_until(lambda: executor not in [each.id for each in sc.executors], "the loss is noticed")


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY_2, StorageLevel.DISK_ONLY_2], ids=str)
def test_no_map_task_runs_again_for_what_is_kept_elsewhere(level: StorageLevel) -> None:
    with Context("local-cluster[3,1,256m]", conf=PATIENT) as sc:
        wait_for_executors(sc, 3)
        kept, holder = with_copies(sc, level)
        lose(sc, holder)
        for _ in range(2):
            assert dict(kept.collect()) == SUMS
            assert sc.jobs()[-1].attempts == N
            assert hits(sc) == N
        kept.unpersist(blocking=True)
        assert dict(kept.collect()) == SUMS
        assert sc.jobs()[-1].attempts > N, "now lost map outputs are needed"
        assert_accounted(sc)


def test_map_tasks_run_again_where_what_was_thought_to_be_kept_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with Context("local-cluster[3,1,256m]", conf={**PATIENT, "stage.maxAttempts": "1"}) as sc:
        wait_for_executors(sc, 3)
        kept, holder = with_copies(sc, StorageLevel.DISK_ONLY_2)
        lose(sc, holder)
        kept.unpersist(blocking=True)
        answers = []

        def wrong(self: StageBlobs, find: FindCached) -> tuple[ShuffleId, ...]:
            answers.append(find.shuffles)
            return find.shuffles

        monkeypatch.setattr(StageBlobs, "unread", wrong)
        again = kept.map(lambda pair: pair).persist(StorageLevel.DISK_ONLY)
        assert dict(again.collect()) == SUMS
        assert len(answers) == 1
        assert sc.jobs()[-1].failed == 0, "nobody's fault"
        assert_accounted(sc)


def test_every_executor_is_killed() -> None:
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
        before = wait_for_executors(sc, 2)
        kept = sums_of(sc, StorageLevel.MEMORY_ONLY)
        for each in before:
            kill(sc, each)
        wait_until(lambda: not set(before) & {each.id for each in sc.executors}, "the loss is noticed")
        assert dict(kept.collect()) == SUMS
        assert n_kept(sc) == N
        assert_accounted(sc)
