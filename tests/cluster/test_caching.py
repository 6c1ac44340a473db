"""Cached RDDs on several executors: tasks go where partitions are kept, files are served to others, loss is made up."""

from __future__ import annotations

from collections import Counter

import pytest

from rddlite import RDD, Context, StorageLevel
from rddlite.errors import JobFailed
from tests.helpers.cluster import IMPATIENT, NO_COPIES, PATIENT, assert_accounted, kill, wait_for_executors, wait_until

RECORDS = 4000
N = 8
REPLICATED = [
    StorageLevel.MEMORY_ONLY_2, StorageLevel.MEMORY_AND_DISK_2, StorageLevel.DISK_ONLY_2, StorageLevel.DISK_ONLY_3,
    StorageLevel(True, True, True, False, 2),
]  # fmt: skip


def kept_in(sc: Context, level: StorageLevel) -> RDD[tuple[int, str]]:
    """A cached RDD of which each executor keeps some partitions."""
    kept = sc.range(RECORDS, numSlices=N).map(lambda x: (x, str(x))).persist(level)
    assert kept.count() == RECORDS
    return kept


def hits(sc: Context) -> int:
    return sum(stage.cache_hits for stage in sc.jobs()[-1].stages)


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY, StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY], ids=str)
def test_tasks_go_where_partitions_are_kept(level: StorageLevel) -> None:
    # Objects belong to one worker, for which a task waits no longer than it takes to make them again.
    n_workers = 1 if level == StorageLevel.MEMORY_ONLY else 2
    with Context(f"local-cluster[2,{n_workers},256m]", conf={**PATIENT, **NO_COPIES, "locality.wait": "1h"}) as sc:
        wait_for_executors(sc, 2)
        kept = kept_in(sc, level)
        for _ in range(3):
            assert kept.map(lambda pair: pair[0]).sum() == sum(range(RECORDS))
            assert hits(sc) == N
            assert sc.jobs()[-1].remote_bytes_read == 0
        (info,) = sc.getRDDStorageInfo()
        assert info.numCachedPartitions == N
        kept.unpersist(blocking=True)
        assert kept.count() == RECORDS
        assert hits(sc) == 0


@pytest.mark.parametrize("level", [StorageLevel.DISK_ONLY, StorageLevel.OFF_HEAP], ids=str)
def test_pickled_partitions_are_served_to_executors_that_have_none(level: StorageLevel) -> None:
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, **NO_COPIES, "locality.wait": "0s"}) as sc:
        first, second = wait_for_executors(sc, 2)
        kept = kept_in(sc, level)
        driver = sc._live_driver()
        mark = kept._node.cached
        assert mark is not None
        holders = [driver._caches.holders((mark.id, i)) for i in range(N)]
        assert {each for (each,) in holders} == {first, second}
        # Three partitions in one task: whoever runs it, one or the other is elsewhere.
        assert kept.coalesce(1).map(lambda pair: pair[0]).sum() == sum(range(RECORDS))
        assert hits(sc) == N
        assert sc.jobs()[-1].remote_bytes_read > 0


def keepers(sc: Context, kept: RDD[tuple[int, str]]) -> list[set[str]]:
    """Of each partition, the executors that keep it."""
    mark, caches = kept._node.cached, sc._live_driver()._caches
    assert mark is not None
    return [set(caches.holders((mark.id, i))) for i in range(N)]


@pytest.mark.parametrize("level", REPLICATED, ids=str)
def test_several_executors_keep_a_partition(level: StorageLevel) -> None:
    n = max(2, level.replication)
    with Context(f"local-cluster[{n},1,256m]", conf={**PATIENT, **NO_COPIES}) as sc:
        everybody = wait_for_executors(sc, n)
        kept = kept_in(sc, level)
        wait_until(lambda: {len(each) for each in keepers(sc, kept)} == {level.replication}, "all copies are made")
        assert set().union(*keepers(sc, kept)) == set(everybody)
        for each in (kept, kept.coalesce(1)):
            assert each.map(lambda pair: pair[0]).sum() == sum(range(RECORDS))
            assert hits(sc) == N
        kept.unpersist(blocking=True)
        assert sc.getRDDStorageInfo() == []
        assert kept.count() == RECORDS
        assert hits(sc) == 0


def test_copies_are_made_when_another_executor_has_joined(caplog: pytest.LogCaptureFixture) -> None:
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
        first = wait_for_executors(sc, 2)[0]
        kept = kept_in(sc, StorageLevel.DISK_ONLY_3)
        wait_until(lambda: {len(each) for each in keepers(sc, kept)} == {2}, "both keep all")
        assert kept_in(sc, StorageLevel.DISK_ONLY_3).count() == RECORDS
        told = [each.message for each in caplog.records if "are to be kept on 3 executors" in each.message]
        assert len(told) == 1
        kill(sc, first)
        wait_until(lambda: first not in set().union(*keepers(sc, kept)), "the loss is noticed")
        wait_until(lambda: {len(each) for each in keepers(sc, kept)} == {2}, "another one keeps all")
        assert Counter(kept.collect()) == Counter((x, str(x)) for x in range(RECORDS))
        assert hits(sc) == N


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY, StorageLevel.DISK_ONLY], ids=str)
def test_what_an_executor_kept_is_computed_again(level: StorageLevel) -> None:
    with Context("local-cluster[2,2,256m]", conf={**PATIENT, **NO_COPIES}) as sc:
        first = wait_for_executors(sc, 2)[0]
        kept = kept_in(sc, level)
        kill(sc, first)
        wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
        assert sc.getRDDStorageInfo()[0].numCachedPartitions < N
        assert Counter(kept.collect()) == Counter((x, str(x)) for x in range(RECORDS))
        assert sc.jobs()[-1].attempts == N
        assert sc.getRDDStorageInfo()[0].numCachedPartitions == N
        assert_accounted(sc)


def test_a_local_checkpoint_goes_with_its_executor() -> None:
    with Context("local-cluster[2,1,256m]", conf={**IMPATIENT, "executor.silence": "1h"}) as sc:
        first = wait_for_executors(sc, 2)[0]
        rdd = sc.range(RECORDS, numSlices=N).map(lambda x: (x, str(x)))
        rdd.localCheckpoint()
        assert rdd.count() == RECORDS
        assert rdd.isCheckpointed()
        assert Counter(rdd.coalesce(1).collect()) == Counter((x, str(x)) for x in range(RECORDS))
        kill(sc, first)
        wait_until(lambda: first not in [each.id for each in sc.executors], "the loss is noticed")
        with pytest.raises(JobFailed, match=r"local checkpoint of map at .* is lost"):
            rdd.count()
