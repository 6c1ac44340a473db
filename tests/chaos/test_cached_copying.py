"""Cached objects that another worker needs: it gets a copy, and computes them again only where there is none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite import RDD, Accumulator, Context
from rddlite.testing.faults import Faults
from tests.helpers.cluster import PATIENT, wait_for_executors, wait_until

RECORDS = 4000
N = 4
WAITS = {**PATIENT, "cache.wait": "10min", "speculation": "false"}
"""A copy is waited for, however busy the machine is."""
MASTERS = pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,256m]"])
TOTAL = sum(range(RECORDS))


def both_keep_some(
    sc: Context, meeting: Path, make: Callable[[int], Any] | None = None
) -> tuple[RDD[Any], Accumulator[int]]:
    """A cached RDD of tuples of which two workers keep half each, and how many records were computed."""
    if sc.master.startswith("local-cluster"):
        wait_for_executors(sc, 2)
    calls = sc.accumulator(0)

    def compute(index: int, records: Iterable[int]) -> Iterator[Any]:
        (meeting / f"here-{os.getpid()}").touch()
        wait_until(lambda: len(list(meeting.glob("here-*"))) >= 2, "the other worker computes as well")
        for x in records:
            calls.add(1)
            yield (x, str(x)) if make is None else make(x)

    rdd = sc.range(RECORDS, numSlices=N).mapPartitionsWithIndex(compute)
    kept = rdd.cache() if make is None else rdd.cache(live=True)
    assert kept.count() == RECORDS
    assert calls.value == RECORDS
    return kept, calls


def total_in_one_task(kept: RDD[Any]) -> int:
    """Read by one task: half of it is in another worker."""
    return kept.coalesce(1).map(lambda pair: pair[0]).sum()


def stage_of(sc: Context) -> Any:
    return sc.jobs()[-1].stages[-1]


@MASTERS
def test_what_others_keep_is_copied(master: str, tmp_path: Path) -> None:
    with Context(master, conf=WAITS) as sc:
        kept, calls = both_keep_some(sc, tmp_path)
        for _ in range(3):
            assert total_in_one_task(kept) == TOTAL
            assert stage_of(sc).cache_hits == N
        assert (sc.jobs()[-1].remote_bytes_read > 0) is ("cluster" in master)
        assert kept.map(lambda pair: pair[0]).sum() == TOTAL
        assert calls.value == RECORDS, "each partition is computed once"
        assert sc.getRDDStorageInfo()[0].numCachedPartitions == N


@MASTERS
def test_a_holder_answers_while_its_task_runs(master: str, tmp_path: Path) -> None:
    with Context(master, conf=WAITS) as sc:
        kept, calls = both_keep_some(sc, tmp_path)
        go = tmp_path / "go"

        def busy(_: int) -> int:
            (tmp_path / "busy").touch()
            wait_until(go.exists, "the task may end")
            return 1

        thread = threading.Thread(target=lambda: sc.range(1, numSlices=1).map(busy).count())
        thread.start()
        try:
            wait_until((tmp_path / "busy").exists, "a worker is busy")
            assert total_in_one_task(kept) == TOTAL
        finally:
            go.touch()
            thread.join()
        assert calls.value == RECORDS


@MASTERS
def test_a_holder_that_dies_while_it_makes_a_copy(master: str, tmp_path: Path, faults: Faults) -> None:
    with Context(master, conf=WAITS) as sc:
        kept, calls = both_keep_some(sc, tmp_path)
        faults.arm("cache.copy", "kill")
        assert total_in_one_task(kept) == TOTAL
        assert faults.fired("cache.copy") == 1
        assert RECORDS < calls.value <= 2 * RECORDS
        assert kept.map(lambda pair: pair[0]).sum() == TOTAL


@MASTERS
def test_what_cannot_be_pickled_is_computed_again(master: str, tmp_path: Path) -> None:
    with Context(master, conf=WAITS) as sc:
        kept, calls = both_keep_some(sc, tmp_path, make=lambda x: (x, threading.Lock()))
        assert total_in_one_task(kept) == TOTAL
        assert RECORDS < calls.value <= 2 * RECORDS


@MASTERS
def test_what_goes_while_somebody_asks_for_it_is_computed_again(master: str, tmp_path: Path, faults: Faults) -> None:
    with Context(master, conf=WAITS) as sc:
        kept, calls = both_keep_some(sc, tmp_path)
        faults.arm("cache.copy", "hold")
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(total_in_one_task(kept)))
        thread.start()
        try:
            wait_until(lambda: faults.fired("cache.copy"), "a copy is asked for")
            mark = kept._node.cached
            assert mark is not None
            kept.unpersist()
            wait_until(lambda: sc._live_driver().cache_info([mark.id])[0].partitions < N, "the holder drops it")
        finally:
            faults.release("cache.copy")
            thread.join()
        assert found == [TOTAL]
        assert RECORDS < calls.value <= 2 * RECORDS


@MASTERS
def test_a_holder_that_does_not_answer_in_time(master: str, tmp_path: Path, faults: Faults) -> None:
    with Context(master, conf={**WAITS, "cache.wait": "10ms"}) as sc:
        kept, calls = both_keep_some(sc, tmp_path)
        faults.arm("cache.copy", "hold")
        try:
            assert total_in_one_task(kept) == TOTAL
            assert RECORDS < calls.value <= 2 * RECORDS
        finally:
            faults.release("cache.copy")
