"""More cached than there is room for: the answers stay right, and the summary tells what had to go."""

from __future__ import annotations

import pytest

from rddlite import Context, StorageLevel

pytestmark = pytest.mark.local

SMALL = {"memory.cache": "400k", "progress.show": "false"}


@pytest.mark.parametrize("master", ["inline", "local[1]"])
def test_what_finds_no_room_in_memory_is_computed_again(master: str) -> None:
    with Context(master, conf=SMALL) as sc:
        calls = sc.accumulator(0)

        def counted(x: int) -> tuple[int, str]:
            calls.add(1)
            return x, str(x)

        kept = sc.range(8000, numSlices=8).map(counted).cache()
        for _ in range(3):
            assert kept.map(lambda pair: pair[0]).sum() == sum(range(8000))
        (info,) = sc.getRDDStorageInfo()
        assert 0 < info.numCachedPartitions < 8
        assert info.memSize <= 400 << 10
        assert 8000 < calls.value < 24_000
        job = sc.jobs()[-1]
        assert job.stages[0].cache_hits == info.numCachedPartitions
        assert job.stages[0].cache_refused == 8 - info.numCachedPartitions
        assert "no room for" in job.line()


@pytest.mark.parametrize("level", [StorageLevel.MEMORY_AND_DISK, StorageLevel.OFF_HEAP], ids=str)
@pytest.mark.parametrize("master", ["inline", "local[1]"])
def test_what_finds_no_room_goes_to_disk(master: str, level: StorageLevel) -> None:
    with Context(master, conf={**SMALL, "memory.cache": "30k"}) as sc:
        calls = sc.accumulator(0)

        def counted(x: int) -> tuple[int, str]:
            calls.add(1)
            return x, str(x)

        kept = sc.range(8000, numSlices=8).map(counted).persist(level)
        for _ in range(3):
            assert kept.map(lambda pair: pair[0]).sum() == sum(range(8000))
        assert calls.value == 8000
        (info,) = sc.getRDDStorageInfo()
        assert info.numCachedPartitions == 8
        assert info.diskSize > 0
        kept.unpersist(blocking=True)
        assert sc.getRDDStorageInfo() == []


@pytest.mark.parametrize("master", ["inline", "local[1]"])
def test_a_cheap_rdd_makes_room_for_a_dear_one(master: str) -> None:
    with Context(master, conf=SMALL) as sc:
        cheap = sc.range(2500, numSlices=1).map(lambda x: (x, x)).cache()
        cheap.count()

        def slowly(x: int) -> tuple[int, int]:
            for _ in range(2000):  # long beside any pause that the machine may have made before
                x += 1
            return x, x

        dear = sc.range(2500, numSlices=1).map(slowly).cache()
        dear.count()
        cached = {info.id: info.numCachedPartitions for info in sc.getRDDStorageInfo()}
        assert cached == {cheap.id(): 0, dear.id(): 1}
        assert sc.jobs()[-1].stages[0].cache_evicted == 1
        assert cheap.count() == 2500


def test_what_is_cached_makes_room_for_tasks() -> None:
    with Context("local[1]", conf={"executor.memory": "300m", "memory.cache": "1g", "progress.show": "false"}) as sc:
        kept = sc.range(20, numSlices=10).map(lambda i: bytes([i]) * (11 << 20)).cache()
        assert kept.map(len).sum() == 20 * (11 << 20)
        assert sc.getRDDStorageInfo()[0].memSize > 200 << 20
        assert sc.range(4, numSlices=2).map(lambda i: len(bytearray(60 << 20))).sum() == 4 * (60 << 20)
        assert kept.map(lambda part: part[0]).sum() == sum(range(20))
        assert sc.getRDDStorageInfo()[0].memSize < 225 << 20


def test_cached_objects_make_room_for_operators() -> None:
    with Context("local[1]", conf={"executor.memory": "350m", "memory.cache": "250m", "progress.show": "false"}) as sc:
        kept = sc.range(20, numSlices=10).map(lambda i: bytes([i]) * (10 << 20)).cache()
        assert kept.map(len).sum() == 20 * (10 << 20)
        sums = sc.range(800_000, numSlices=1).map(lambda i: (i * 7919 % 800_003, 1)).reduceByKey(lambda a, b: a + b, 1)
        assert sums.count() == 800_000
        job = sc.jobs()[-1]
        assert sum(stage.cache_evicted for stage in job.stages) > 0
        assert "evicted" in job.line()
        assert kept.map(lambda part: part[0]).sum() == sum(range(20))


def test_a_task_that_runs_out_of_memory_finds_more_of_it_the_next_time() -> None:
    with Context("local[1]", conf={"executor.memory": "300m", "memory.cache": "250m", "progress.show": "false"}) as sc:
        kept = sc.range(20, numSlices=10).map(lambda i: bytes([i]) * (9 << 20)).cache()
        assert kept.map(len).sum() == 20 * (9 << 20)
        assert sc.range(2, numSlices=1).map(lambda i: len(bytearray(130 << 20))).sum() == 2 * (130 << 20)
        assert kept.map(lambda part: part[0]).sum() == sum(range(20))
