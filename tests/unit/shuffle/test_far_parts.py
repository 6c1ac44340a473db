"""Parts of buckets that are on other hosts: what is fetched is what files give, and each loss is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.base.metrics import TaskMetrics
from rddlite.executor import byparts
from rddlite.lineage.aggregator import GROUP
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.partitioner import HashPartitioner
from rddlite.shuffle.fetcher import Reach
from rddlite.shuffle.format import bucket_and_part, number_of
from rddlite.shuffle.locations import MapLocation
from rddlite.shuffle.parted import Parted
from rddlite.shuffle.reader import BlockLost, IndexCache
from rddlite.shuffle.writer import BucketWriter
from tests.unit.shuffle.outputs import SHUFFLE, target
from tests.unit.shuffle.sources import Sources

DEP = ShuffleDependency(None, HashPartitioner(2), aggregator=GROUP, combine_on_map=True, shuffle_id=SHUFFLE)
N_MAPS = 4
WHOLE_ONE = 2
"""This output is not divided."""


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    for i in range(N_MAPS):
        divided_from = 1 << 40 if i == WHOLE_ONE else 1
        where = target(tmp_path, i, attempt=i + 1, buffer_bytes=1, divided_from=divided_from)
        with BucketWriter(DEP, where, i) as output:
            for start in range(0, 200, 20):
                output.add([(key, (i, key)) for key in range(start, start + 20)])
            output.commit()
    return tmp_path


def table(scratch: Path, executors: tuple[int, ...]) -> dict[Any, list[MapLocation]]:
    return {
        SHUFFLE: [
            MapLocation(ExecutorId(str(executor)), str(scratch), AttemptId(i + 1), f"tcp://10.0.0.{executor}:1", "")
            for i, executor in enumerate(executors)
        ]
    }


def by_parts(
    sources: Sources,
    bucket: int,
    executors: tuple[int, ...] = (1, 2, 1, 3),
    indexes: IndexCache | None = None,
    most_whole: int = 1 << 20,
    metrics: TaskMetrics | None = None,
) -> list[list[Any]] | None:
    parted = Parted(
        table(sources.scratch, executors),
        SHUFFLE,
        bucket,
        metrics or TaskMetrics(),
        Reach("0", "key", lambda: sources),
        most_whole=most_whole,
        indexes=IndexCache() if indexes is None else indexes,
    )
    if not parted.is_possible:
        return None
    return [
        [pair for columns in part for pair in zip(*columns, strict=True)]
        for part in byparts.parts(parted, DEP, bucket, lambda frame: frame.columns())
    ]


@pytest.mark.parametrize("cut", [100, 1 << 20])
def test_parts_are_the_same_from_everywhere(scratch: Path, cut: int) -> None:
    for bucket in range(2):
        here = by_parts(Sources(scratch), bucket, (0, 0, 0, 0))
        assert here is not None
        assert sum(map(len, here)) == N_MAPS * 100
        for executors in [(1, 2, 1, 3), (0, 1, 0, 1), (1, 0, 2, 0)]:
            sources = Sources(scratch, lambda left: cut)
            metrics = TaskMetrics()
            assert by_parts(sources, bucket, executors, metrics=metrics) == here
            assert metrics.shuffle_records_read == N_MAPS * 100
            assert 0 < metrics.remote_bytes_read <= metrics.shuffle_bytes_read
            assert sources.open == []


def test_indexes_are_fetched_once(scratch: Path) -> None:
    indexes = IndexCache()
    by_parts(Sources(scratch), 0, indexes=indexes)
    sources = Sources(scratch)
    assert by_parts(sources, 0, indexes=indexes) is not None
    again = Sources(scratch)
    by_parts(again, 0)
    assert len(again.asked) - len(sources.asked) == N_MAPS


def test_what_is_remembered_of_an_index_has_an_entry_for_each_bucket(scratch: Path) -> None:
    indexes = IndexCache(limit=N_MAPS * 2)
    by_parts(Sources(scratch), 0, indexes=indexes)
    again = Sources(scratch)
    by_parts(again, 1, indexes=indexes)
    by_parts(nothing_known := Sources(scratch), 1)
    assert len(nothing_known.asked) - len(again.asked) == N_MAPS


def test_waiting_for_indexes_counts_as_waiting(scratch: Path) -> None:
    indexes, first, second = IndexCache(), TaskMetrics(), TaskMetrics()
    by_parts(Sources(scratch), 0, indexes=indexes, metrics=first)
    by_parts(Sources(scratch), 0, indexes=indexes, metrics=second)
    assert first.fetch_wait_seconds - second.fetch_wait_seconds == N_MAPS * 0.25


def test_what_is_not_divided_must_be_little_there_too(scratch: Path) -> None:
    assert by_parts(Sources(scratch), 0, most_whole=100) is None


def test_an_index_that_is_good_the_second_time_is_no_loss(scratch: Path) -> None:
    times = [0]

    def spoil(name: str, data: bytes) -> bytes | None:
        times[0] += 1
        return {1: data[:-1], 3: None}.get(times[0], data)

    sources = Sources(scratch)
    sources.spoils.append(spoil)
    assert by_parts(sources, 1) == by_parts(Sources(scratch), 1)


@pytest.mark.parametrize(("spoiled", "word"), [(b"", "cut short"), (None, "no such file")])
def test_an_index_that_is_bad_twice_is_lost(scratch: Path, spoiled: bytes | None, word: str) -> None:
    sources = Sources(scratch)
    sources.spoils.append(lambda name, data: spoiled if name == "shuffle-4-1-2" else data)
    with pytest.raises(BlockLost, match=word) as caught:
        by_parts(sources, 0)
    assert (caught.value.map_index, caught.value.executor) == (1, "2")
    assert sources.open == []


def test_a_source_that_is_gone_between_parts(scratch: Path) -> None:
    sources = Sources(scratch)
    reach = Reach("0", "key", lambda: sources)
    parted = Parted(
        table(scratch, (1, 2, 1, 3)), SHUFFLE, 0, TaskMetrics(), reach, most_whole=1 << 20, indexes=IndexCache()
    )
    assert list(parted.part(0))
    sources.dead.add("executor 3")
    with pytest.raises(BlockLost, match="connection refused") as caught:
        list(parted.part(1))
    assert caught.value.map_index == 3
    sources.dead.add("executor 1")
    with pytest.raises(BlockLost, match="connection refused"):
        by_parts(sources, 0)
    assert sources.open == []


@pytest.mark.parametrize("bucket", [0, 1, (1 << 32) - 1])
@pytest.mark.parametrize("part", [None, 0, 15])
def test_a_bucket_and_a_part_are_one_number(bucket: int, part: int | None) -> None:
    assert bucket_and_part(number_of(bucket, part)) == (bucket, part)
    assert (part is None) == (number_of(bucket, part) == bucket)
