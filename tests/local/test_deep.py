"""Deeply nested inputs in worker processes: exact, stoppable, and refused with advice beyond the limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite import RDD, Context
from rddlite.errors import JobCancelled, JobFailed, UsageError

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def sc() -> Iterator[Context]:
    with Context("local[2]") as context:
        yield context


def plus_one(records: Iterator[int]) -> Iterator[int]:
    return (x + 1 for x in records)


def nested(rdd: RDD[int], levels: int) -> RDD[int]:
    for _ in range(levels):
        rdd = rdd.mapPartitions(plus_one)
    return rdd


def test_nested_map_partitions(sc: Context) -> None:
    assert nested(sc.range(5, numSlices=2), 2_500).collect() == [2_500 + x for x in range(5)]
    assert nested(sc.range(5, numSlices=2), 250).first() == 250


def test_nested_coalesced_inputs(sc: Context) -> None:
    rdd: RDD[int] = sc.range(6, numSlices=2)
    for _ in range(1_500):
        rdd = rdd.union(sc.range(0, numSlices=1)).coalesce(2)
    assert sorted(rdd.collect()) == list(range(6))


def test_beyond_the_limit(sc: Context) -> None:
    with pytest.raises(JobFailed, match=r"checkpoint\(\) or a shuffle") as caught:
        nested(sc.range(5, numSlices=1), 10_001).collect()
    assert isinstance(caught.value.__cause__, UsageError)
    assert sc.range(3).collect() == [0, 1, 2]


def test_an_error_far_down_is_the_users(sc: Context) -> None:
    def fail(x: int) -> int:
        raise ValueError(f"no {x}")

    with pytest.raises(JobFailed) as caught:
        nested(sc.range(5, numSlices=1).map(fail), 300).collect()
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.record == "0"
    assert "fail" in str(caught.value.operation)


def test_a_task_that_hangs_far_down_is_stopped(sc: Context, tmp_path: Path) -> None:
    marker = tmp_path / "started"

    def hang(x: int) -> Any:
        marker.touch()
        time.sleep(600)

    def cancel() -> None:
        while not marker.exists():
            time.sleep(0.01)
        sc.cancelJobGroup("deep")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    sc.setJobGroup("deep", "hangs")
    with pytest.raises(JobCancelled):
        nested(sc.range(5, numSlices=1).map(hang), 300).collect()
    canceller.join()
    assert sc.range(100, numSlices=4).sum() == 4950
