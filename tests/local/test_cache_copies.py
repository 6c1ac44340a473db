"""Levels of several copies where there is one executor: one copy, and a word about it."""

from __future__ import annotations

import pytest

from rddlite import Context, StorageLevel

pytestmark = pytest.mark.local


@pytest.mark.parametrize("master", ["inline", "local[1]"])
@pytest.mark.parametrize("level", [StorageLevel.MEMORY_ONLY_2, StorageLevel.DISK_ONLY_3], ids=str)
def test_one_executor_keeps_one_copy(master: str, level: StorageLevel, caplog: pytest.LogCaptureFixture) -> None:
    with Context(master, conf={"progress.show": "false"}) as sc:
        for _ in range(2):
            kept = sc.range(1000, numSlices=4).map(lambda x: (x, str(x))).persist(level)
            for _ in range(2):
                assert kept.map(lambda pair: pair[0]).sum() == sum(range(1000))
            stage = sc.jobs()[-1].stages[0]
            assert stage.cache_hits == 4
        first = sc.jobs()[0].stages[0]
        assert (first.cache_bytes_pickled == 0) is level.useMemory, "nothing is pickled for peers that cannot be"
        assert sc.getRDDStorageInfo()[0].numCachedPartitions == 4
    told = [each.message for each in caplog.records if "and there is one" in each.message]
    assert len(told) == 1
