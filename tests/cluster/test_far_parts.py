"""A reduce partition on other hosts that is larger than memory is taken part by part, and not written a second time."""

from __future__ import annotations

from typing import Any

import pytest

from rddlite import RDD, Context
from tests.helpers.cluster import PATIENT

CAPACITY = 4 << 20
"""What operators of a task may hold."""
N, N_KEYS, WIDTH = 120_000, 6_000, 100


def wide(i: int) -> str:
    return str(i).rjust(WIDTH, "-")


def pairs(sc: Context) -> RDD[tuple[int, str]]:
    return sc.range(N, numSlices=4).map(lambda i: (i * 7919 % N_KEYS, wide(i)))


def grouped_sum(sc: Context) -> int:
    return pairs(sc).groupByKey(2).mapValues(lambda some: sum(int(one.strip("-")) for one in some)).values().sum()


def in_order(sc: Context) -> list[int]:
    texts = pairs(sc).values().sortBy(lambda text: text, numPartitions=2)
    return texts.map(lambda text: int(text.strip("-"))).collect()


@pytest.mark.parametrize(("compute", "expected"), [(grouped_sum, sum(range(N))), (in_order, list(range(N)))])
def test_a_bucket_larger_than_memory_is_written_once(compute: Any, expected: int) -> None:
    conf = {**PATIENT, "memory.operators": f"{CAPACITY >> 20}m"}
    with Context("local-cluster[2,1,512m]", conf=conf) as sc:
        assert compute(sc) == expected
        job = sc.jobs()[-1]
        *_, maps, reduces = job.stages
        assert maps.shuffle_bytes_written > 2 * CAPACITY, "a reduce partition does not fit"
        assert job.remote_bytes_read > CAPACITY
        assert (reduces.spill_runs, reduces.spilled) == (0, 0)
