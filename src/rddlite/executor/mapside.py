"""The output of a map task: records after their operations, combined where that is asked for, written by bucket.

Called by `runner`; the loop over records is compiled (`consume`), the files are `shuffle.writer`'s.
"""

from __future__ import annotations

from itertools import chain

from rddlite.base.faults import fault_point
from rddlite.base.hotkeys import pack_hot
from rddlite.base.ids import AttemptId, ExecutorId, ShuffleData
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import MapStatus
from rddlite.executor import consume, fuse, grouping
from rddlite.executor.budget import Budget
from rddlite.executor.env import ExecutorEnv
from rddlite.executor.inputs import Pipeline
from rddlite.executor.pacing import Groups
from rddlite.lineage.graph import ShuffleDependency
from rddlite.lineage.ops import KeyBy, Map
from rddlite.net.messages import RunTask
from rddlite.shuffle.writer import BucketWriter, MapTarget

_SHARE_OF_CAPACITY = 4
_LEAST_BUFFER = 64 << 10
_DIVIDED_SHARE = 6
"""As objects, records take about four times what they take in frames. Where there are as many map tasks as buckets, a
bucket has as much as one output: what is larger than this share of the capacity will hardly fit, if more is to come."""


def write_map_output(
    task: RunTask, dep: ShuffleDependency, source: Pipeline, env: ExecutorEnv, budget: Budget, metrics: TaskMetrics
) -> MapStatus:
    """Write what a map task makes of its partition, and publish it."""
    index = task.partition_index
    holder = budget.holder(str(dep.site or dep.label), metrics)
    target = MapTarget(
        scratch=env.scratch,
        block=ShuffleData(dep.shuffle_id, task.index, AttemptId(task.attempt)),
        executor=ExecutorId(env.executor_id),
        codec=env.settings["shuffle.codec"],
        buffer_bytes=min(env.settings["shuffle.buffer"], max(budget.capacity // _SHARE_OF_CAPACITY, _LEAST_BUFFER)),
        divided_from=budget.capacity // _DIVIDED_SHARE,
        tells_keys=env.settings["shuffle.hotKeys"],
    )
    with holder, BucketWriter(dep, target, task.index) as writer:
        if dep.combine_on_map and dep.aggregator is not None and dep.aggregator.grouping:
            for part in grouping.grouped(source.ops, source.batches, index, holder, dep):
                if isinstance(part, Groups):
                    writer.add_groups(part.keys, part.groups)
                else:
                    writer.add(part)
        elif dep.combine_on_map and dep.aggregator is not None:
            for table in consume.combined_tables(dep.aggregator, source.ops, source.batches, index, holder):
                writer.add_table(table)
        elif writer.takes_columns and source.ops and isinstance(source.ops[-1], KeyBy):
            _add_columns(source, index, writer)
        else:
            for batch in fuse.emit(source.ops, source.batches, index):
                writer.add(batch)
        fault_point("map.write")
        status = writer.commit()
        # What is written once, when shuffle.buffer is full, is not written for lack of memory.
        if writer.n_runs and (holder.was_full or target.buffer_bytes < env.settings["shuffle.buffer"]):
            holder.spilled(writer.spilled_bytes, writer.n_runs)
    metrics.hot_keys = pack_hot(dep.partitioner.n, writer.hottest_keys())
    metrics.shuffle_records_written += status.records
    metrics.shuffle_bytes_written += status.total_bytes
    return status


def _add_columns(source: Pipeline, index: int, writer: BucketWriter) -> None:
    """Records with the keys that the last operation gives them, without pairs being made."""
    by_key = source.ops[-1]
    assert isinstance(by_key, KeyBy)
    keys_of = (Map(by_key.f),)
    for batch in fuse.emit(source.ops[:-1], source.batches, index):
        keys = list(chain.from_iterable(fuse.emit(keys_of, iter([batch]), index)))
        writer.add_columns(keys, batch)
