"""Cached partitions that a task reads where another worker keeps them."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from rddlite.base.cached import Form, News, Wanted, pack_wanted, unpack_wanted
from rddlite.base.ids import CacheId
from rddlite.base.metrics import TaskMetrics
from rddlite.executor.caching import TaskCache
from rddlite.executor.holdings import Holdings
from rddlite.lineage.caching import Cached
from rddlite.storage.blocks import FOLDER, BlockStore, InMemory, write_frames
from rddlite.storage.level import StorageLevel
from rddlite.testing.clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path


def put(store: BlockStore, partition: int) -> News:
    frames = write_frames(iter([[partition] * 3]), None)
    store.put(InMemory((1, partition), frames, frames.size, 0.5, to_disk=False))
    news = store.take_news()
    assert news is not None
    return news


def test_frames_are_read_where_they_are_said_to_be_only_if_they_are_those(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    owner, reader = BlockStore(str(tmp_path), 1000), BlockStore(str(tmp_path), 1000)
    holdings = Holdings()
    news = put(owner, 0)
    holdings.changed(1, news)
    routed = holdings.routed(0, [Wanted(1, 0)], {1: os.getpid()})
    assert routed is not None
    wanted = {each.block: each for each in unpack_wanted(pack_wanted(routed))}
    metrics = TaskMetrics()
    cache = TaskCache(reader, metrics, ManualClock(0.0), wanted)
    mark = Cached(StorageLevel.OFF_HEAP, cache_id=CacheId(1))
    found = cache.find(mark, 0)
    assert found is not None
    assert list(found) == [[0, 0, 0]]
    del found
    owner.drop([(1, 0)])
    gc.collect()
    again = put(owner, 7)  # in the meantime, and nobody knows yet
    assert again.kept[0].form is Form.FRAMES
    assert again.kept[0].fd == news.kept[0].fd, "or this tests nothing"
    assert cache.find(mark, 0) is None
    assert metrics.cache_hits == 1
