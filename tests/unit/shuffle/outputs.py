"""Builders for tests of map outputs: dependencies, targets, written outputs, and what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.base.ids import AttemptId, ExecutorId, ShuffleData, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import MapStatus
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.ops import UserFunction
from rddlite.lineage.partitioner import FunctionPartitioner, HashPartitioner, RoundRobin
from rddlite.shuffle.locations import MapLocation
from rddlite.shuffle.reader import IndexCache, read_blocks
from rddlite.shuffle.writer import BucketWriter, MapTarget

SHUFFLE = ShuffleId(4)
EXECUTOR = ExecutorId("0")


def keyed(n: int) -> ShuffleDependency:
    return ShuffleDependency(None, HashPartitioner(n), shuffle_id=SHUFFLE)


def unkeyed(n: int) -> ShuffleDependency:
    return ShuffleDependency(None, RoundRobin(n), shuffle_id=SHUFFLE)


def by_function(n: int, f: Any) -> ShuffleDependency:
    return ShuffleDependency(None, FunctionPartitioner(n, UserFunction(f, CallSite("m", "f", 1))), shuffle_id=SHUFFLE)


def target(scratch: Path, map_index: int = 0, attempt: int = 1, **options: Any) -> MapTarget:
    for name in ("shuffle", "spill"):
        (scratch / name).mkdir(exist_ok=True)
    return MapTarget(str(scratch), ShuffleData(SHUFFLE, map_index, AttemptId(attempt)), EXECUTOR, **options)


def write(dep: ShuffleDependency, where: MapTarget, batches: list[list[Any]]) -> MapStatus:
    with BucketWriter(dep, where, where.block.map_index) as writer:
        for batch in batches:
            writer.add(batch)
        return writer.commit()


def write_table(table: dict[Any, Any], dep: ShuffleDependency, where: MapTarget) -> MapStatus:
    """What a map-side combine that fits into memory makes."""
    with BucketWriter(dep, where, where.block.map_index) as writer:
        writer.add_table(table)
        return writer.commit()


def write_groups(
    grouped: list[tuple[Any, Any]], others: list[tuple[Any, Any]], dep: ShuffleDependency, where: MapTarget
) -> MapStatus:
    """What a map task makes that groups some pairs, not all at once, and others not."""
    with BucketWriter(dep, where, where.block.map_index) as writer:
        for start in range(0, len(grouped), 100):
            groups: dict[Any, list[Any]] = {}
            for key, value in grouped[start : start + 100]:
                groups.setdefault(key, []).append(value)
            writer.add_groups(list(groups), list(groups.values()))
        for start in range(0, len(others), 100):
            writer.add(others[start : start + 100])
        return writer.commit()


def table_of(scratch: Path, attempts: list[int]) -> dict[ShuffleId, list[MapLocation]]:
    return {SHUFFLE: [MapLocation(EXECUTOR, str(scratch), AttemptId(attempt)) for attempt in attempts]}


def read(
    scratch: Path, attempts: list[int], reduce_index: int, metrics: TaskMetrics | None = None, **options: Any
) -> list[Any]:
    """The records of a reduce partition, by an own cache unless one is given."""
    options.setdefault("indexes", IndexCache())
    frames = read_blocks(table_of(scratch, attempts), SHUFFLE, reduce_index, metrics or TaskMetrics(), **options)
    return [record for frame in frames for record in frame.records()]


def buckets(scratch: Path, n: int, attempts: list[int] | None = None, **options: Any) -> list[list[Any]]:
    return [read(scratch, attempts or [1], i, **options) for i in range(n)]


def names(scratch: Path) -> list[str]:
    return sorted(path.name for path in (scratch / "shuffle").iterdir())
