"""Executors die while others take buckets of theirs part by part: what was lost is made again, nothing twice."""

from __future__ import annotations

import pytest

from rddlite import Context
from rddlite.testing.faults import Faults
from tests.helpers.cluster import PATIENT, assert_accounted, wait_for_executors

CONF = {**PATIENT, "memory.operators": "64k"}
"""So little that each map output is divided."""
N, N_KEYS = 12_000, 400
EXPECTED = [(key, sum(range(key, N, N_KEYS))) for key in range(N_KEYS)]


def grouped(sc: Context) -> list[tuple[int, int]]:
    pairs = sc.range(N, numSlices=6).map(lambda i: (i % N_KEYS, str(i).rjust(60)))
    return sorted(pairs.groupByKey(4).mapValues(lambda some: sum(map(int, some))).collect())


@pytest.mark.parametrize(
    ("point", "after"), [("fetch.start", 3), ("fetch.block", 2), ("serve.block", 8), ("serve.block", 20)]
)
def test_an_executor_is_killed_between_parts(faults: Faults, point: str, after: int) -> None:
    faults.arm(point, "kill-executor", after=after)
    with Context("local-cluster[3,1,256m]", conf=CONF) as sc:
        assert grouped(sc) == EXPECTED
        assert faults.fired(point) == 1
        assert sc.jobs()[-1].lost > 0
        assert_accounted(sc)
        wait_for_executors(sc, 3)
        assert grouped(sc) == EXPECTED
