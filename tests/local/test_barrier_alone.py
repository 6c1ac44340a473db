"""Barrier stages of contexts that are made for one test: another master, another setting."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from rddlite import BarrierTaskContext, Context
from rddlite.errors import JobFailed
from tests.local.test_barrier import QUIET, talk

pytestmark = pytest.mark.local


def test_time_is_over_tells_who_had_come() -> None:
    def late(index: int, part: Iterable[int]) -> Iterable[int]:
        if index == 1:
            time.sleep(600)
        BarrierTaskContext.get().barrier()
        return part

    with (
        Context("local[2]", conf={**QUIET, "barrier.sync.timeout": "200ms"}) as sc,
        pytest.raises(JobFailed, match="partitions 0 had come, partitions 1 had not"),
    ):
        sc.range(2, numSlices=2).barrier().mapPartitionsWithIndex(late).collect()


def test_inline_has_one_slot() -> None:
    with Context("inline", conf=QUIET) as sc:
        assert sc.range(4, numSlices=1).barrier().mapPartitions(talk).collect() == [(["0:6"], [""], 1)]
        with pytest.raises(JobFailed, match="this master has 1"):
            sc.range(4, numSlices=2).barrier().mapPartitions(talk).collect()
