"""What a task keeps of a cached partition that is dropped while it is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from rddlite.base.ids import CacheId
from rddlite.base.metrics import TaskMetrics
from rddlite.executor.filling import Filling
from rddlite.lineage.caching import Cached
from rddlite.storage.blocks import FOLDER, BlockStore
from rddlite.storage.level import StorageLevel


@pytest.mark.parametrize("must_stay", [False, True])
def test_what_is_dropped_before_it_is_complete_is_not_kept_and_no_error(tmp_path: Path, must_stay: bool) -> None:
    (tmp_path / FOLDER).mkdir()
    writing, other = BlockStore(str(tmp_path), 1000), BlockStore(str(tmp_path), 1000)
    mark = Cached(StorageLevel.DISK_ONLY, must_stay=must_stay, cache_id=CacheId(1))
    metrics = TaskMetrics()
    with Filling(writing, metrics, mark, (1, 0)) as filling:
        filling.add([1, 2, 3], 0.1)
        other.drop_caches({1})
        filling.finish(0.2)
    assert metrics.cache_stored == 0
    assert writing.take_news() is None
    assert not writing.has((1, 0))
    assert not list((tmp_path / FOLDER).iterdir())
