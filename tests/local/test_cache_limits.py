"""Cached arrays larger than what a worker may allocate are read again and again: mapped, they take no memory."""

from __future__ import annotations

import numpy as np
import pytest

from rddlite import Context, StorageLevel

pytestmark = pytest.mark.local


@pytest.mark.parametrize("level", [StorageLevel.OFF_HEAP, StorageLevel.DISK_ONLY], ids=str)
def test_readers_of_arrays_stay_below_the_limit(level: StorageLevel) -> None:
    with Context("local[1]", conf={"executor.memory": "300m", "memory.cache": "1g", "progress.show": "false"}) as sc:
        kept = sc.range(6, numSlices=1).map(lambda i: np.full(10 << 20, i, dtype=np.uint8)).persist(level)
        total = sum(i * (10 << 20) for i in range(6))
        assert kept.map(lambda array: int(array.sum())).sum() == total
        pairs = kept.keyBy(lambda array: int(array[0]))
        for _ in range(3):
            assert pairs.mapValues(lambda array: int(array.sum())).values().sum() == total
            assert sc.jobs()[-1].stages[0].cache_hits == 1
            assert sc.jobs()[-1].attempts == 1
