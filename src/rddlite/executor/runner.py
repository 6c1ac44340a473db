"""Runs one task: rebuild the stage, open its inputs, run the fused loop, say how it ended.

Whatever user code does comes back as a `TaskOutcome`; the only exceptions that leave `run_task` are those with which
the worker stops it. Nothing of one task is kept for the next, but for decoded tables of map outputs, and stages whose
functions keep nothing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
from collections.abc import Mapping
from typing import Any

from rddlite.base.cached import unpack_wanted
from rddlite.base.clock import process_cpu_seconds
from rddlite.base.faults import fault_point
from rddlite.base.ids import AttemptId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import (
    FetchFailed,
    InlineResult,
    OutOfMemory,
    Raised,
    StoredResult,
    Success,
    TaskOutcome,
    TaskValue,
)
from rddlite.base.units import show_bytes
from rddlite.errors import CorruptInput, DataError, DiskFull, NotPicklable, ResultTooLarge, UsageError
from rddlite.executor import consume, fuse
from rddlite.executor.barrier import Member
from rddlite.executor.budget import Budget
from rddlite.executor.caching import TaskCache, leave_room
from rddlite.executor.copying import CopyAsker
from rddlite.executor.env import ExecutorEnv, result_path
from rddlite.executor.inputs import TaskInputs
from rddlite.executor.interrupt import TaskKilled
from rddlite.executor.mapside import write_map_output
from rddlite.executor.payloads import Stage, Stages
from rddlite.executor.profiling import profiled
from rddlite.executor.reach import reach_of
from rddlite.fs.writers import save_frames, save_lines
from rddlite.lineage.consumers import Collect, Consumer, CountEach, Sample, SaveFrames, SaveLines
from rddlite.net.messages import RunTask
from rddlite.serde.closures import loads
from rddlite.serde.failure import capture
from rddlite.serde.records import encode_object, encode_records
from rddlite.shared.barrier import enter_barrier
from rddlite.shared.current import CurrentTask, current_task
from rddlite.shared.updates import pack_updates
from rddlite.shuffle.locations import decode_tables
from rddlite.shuffle.reader import BlockLost
from rddlite.storage.localdirs import disk_errors

_RESULT_BATCH = 8192
_MANY_TABLES = 8
_NUMBERS = (int, type(None))


class TaskRunner:
    """Runs the tasks of one worker, one at a time. Not shared between threads."""

    def __init__(self, env: ExecutorEnv) -> None:
        self._env = env
        self._tables: dict[str, Any] = {}
        # Inline, tasks find the program's files where the driver has them.
        self._stages = Stages(None if env.inline else os.path.join(env.scratch, "files"))
        self._storage_options = json.loads(env.settings["storage.options"] or "{}")
        self._reach = reach_of(env)
        self._asker = None if env.inline else CopyAsker(env.scratch, env.settings["cache.wait"])
        release = env.blocks.release if env.blocks is not None else None
        self._budget = Budget(env.settings, env.memory_limit, env.scratch, env.progress, release)

    def run_task(self, task: RunTask, blobs: Mapping[str, bytes]) -> TaskOutcome:
        """Run one attempt to its end. Never raises for what user code does."""
        metrics = TaskMetrics()
        clock = self._env.clock
        started, cpu_started = clock.now(), process_cpu_seconds()
        current = CurrentTask(
            task.stage, task.partition_index, task.number, task.attempt, broadcasts=self._env.broadcasts
        )
        token = current_task.set(current)
        try:
            value = self._value(task, blobs, metrics, current)
            updates = _packed_updates(current, value)
        except BlockLost as lost:
            return FetchFailed(lost.shuffle, lost.map_index, lost.executor, lost.attempt, lost.why)
        except TaskKilled:
            raise
        except BaseException as error:
            if isinstance(error, MemoryError) and not isinstance(error, ResultTooLarge):
                return self._out_of_memory(error)
            if self._env.inline and not isinstance(error, (Exception, SystemExit)):
                raise  # Ctrl-C, or the end of a test, in the thread that waits for the job
            _fill(metrics, clock.now() - started, process_cpu_seconds() - cpu_started)
            return _raised(error, metrics)
        finally:
            current_task.reset(token)
            for gathered in current.updates.values():
                gathered.task_ended()
            if self._env.broadcasts is not None:
                self._env.broadcasts.task_ended()
        _fill(metrics, clock.now() - started, process_cpu_seconds() - cpu_started)
        return Success(value, metrics, updates)

    def _value(
        self, task: RunTask, blobs: Mapping[str, bytes], metrics: TaskMetrics, current: CurrentTask
    ) -> TaskValue:
        self._settle()  # a task that was killed may have left what it was fetching
        blocks = self._env.blocks
        evicted = blocks.n_evicted if blocks is not None else 0
        if blocks is not None:
            leave_room(blocks, self._env.memory_limit)
        self._budget.start_task()
        stage = self._stages.for_task(task.payload, blobs)
        if stage.keepers:
            self._budget.may_be_held_by(stage.keepers)
        current.properties.update(stage.setting.properties)
        if stage.setting.is_barrier and self._env.meet is not None:
            seconds = self._env.settings["barrier.sync.timeout"]
            enter_barrier(current, Member(self._env.meet, task.attempt, seconds).ask)
        sources = loads(task.partition) if task.partition else {}
        tables = self._tables_of(task, blobs)
        cache = self._cache_of(task, metrics)
        inputs = TaskInputs(
            stage, sources, tables, metrics, self._budget, self._storage_options, self._env.progress, self._reach, cache
        )
        try:
            if not stage.setting.profilers:
                return self._worked(task, stage, inputs, metrics)
            functions = [function.call for function in stage.functions]
            value: TaskValue = profiled(
                stage.setting.profilers, functions, lambda: self._worked(task, stage, inputs, metrics)
            )
            return value
        finally:
            inputs.close()
            self._settle()
            if blocks is not None:
                metrics.cache_evicted = blocks.n_evicted - evicted

    def _worked(self, task: RunTask, stage: Stage, inputs: TaskInputs, metrics: TaskMetrics) -> TaskValue:
        if stage.shuffle is not None:
            fault_point("task.map")
            source = inputs.pipeline(stage.nodes[-1], task.partition_index)
            return write_map_output(task, stage.shuffle, source, self._env, self._budget, metrics)
        fault_point("task.reduce" if task.outputs else "task.result")
        return self._result(task, stage, inputs, metrics)

    def _settle(self) -> None:
        if self._reach is not None:
            self._reach.settle()

    def _cache_of(self, task: RunTask, metrics: TaskMetrics) -> TaskCache | None:
        blocks = self._env.blocks
        if blocks is None:
            return None
        wanted = {each.block: each for each in unpack_wanted(task.cached)} if task.cached else {}
        return TaskCache(blocks, metrics, self._env.clock, wanted, self._reach, self._asker)

    def _tables_of(self, task: RunTask, blobs: Mapping[str, bytes]) -> Any:
        if not task.outputs:
            return {}
        if task.outputs not in self._tables:
            if len(self._tables) >= _MANY_TABLES:
                self._tables.pop(next(iter(self._tables)))
            self._tables[task.outputs] = decode_tables(blobs[task.outputs])
        return self._tables[task.outputs]

    def _result(self, task: RunTask, stage: Stage, inputs: TaskInputs, metrics: TaskMetrics) -> TaskValue:
        source = inputs.pipeline(stage.nodes[-1], task.partition_index)
        consumer: Consumer = stage.consumer
        if isinstance(consumer, (SaveLines, SaveFrames)):
            batches = fuse.emit(source.ops, source.batches, task.partition_index)
            options = self._storage_options
            value: Any = (
                save_lines(batches, consumer, task.index, task.attempt, metrics, options)
                if isinstance(consumer, SaveLines)
                else save_frames(batches, consumer, task.index, task.attempt, metrics, options)
            )
        elif isinstance(consumer, Sample):
            value = consume.sampled(consumer, source, task.partition_index)
        elif isinstance(consumer, CountEach):
            holder = self._budget.holder(str(consumer.f.site), metrics)
            value = consume.counted(consumer, source, task.partition_index, holder)
        else:
            value = consume.run(consumer, source.ops, source.batches, task.partition_index)
        return self._stored(task, _encoded(consumer, value), metrics)

    def _stored(self, task: RunTask, pieces: list[Any], metrics: TaskMetrics) -> TaskValue:
        size = sum(memoryview(piece).nbytes for piece in pieces)
        metrics.result_bytes += size
        limit = self._env.settings["driver.maxResultSize"]
        if limit and size > limit:
            raise ResultTooLarge(
                f"the result of one task takes {show_bytes(size)}, more than the {show_bytes(limit)} that "
                f"driver.maxResultSize allows for those of a whole job; {ResultTooLarge.ADVICE}"
            )
        if self._env.inline or size <= self._env.settings["result.inlineLimit"]:
            return InlineResult(b"".join(pieces))
        path = result_path(self._env.scratch, AttemptId(task.attempt))
        try:
            with disk_errors(path), open(path, "wb") as file:
                file.writelines(pieces)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            raise
        return StoredResult(path, size)

    def _out_of_memory(self, error: MemoryError) -> OutOfMemory:
        blame = fuse.blame(error)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        operation, detail = self._budget.last_words()
        if self._env.blocks is not None:
            self._env.blocks.shrink(0)  # the next attempt shall not fail for what can be computed again
        if blame is not None:
            above = f"{operation}: {detail}" if detail and operation != blame.operation else detail
            record = "" if blame.record is None else f"the record was {blame.record}"
            operation, detail = blame.operation, "; ".join(filter(None, [above, record]))
        return OutOfMemory(self._env.memory_limit or 0, peak, operation or None, detail or str(error))


def _packed_updates(current: CurrentTask, value: TaskValue) -> bytes:
    try:
        return pack_updates(current.updates)
    except BaseException:
        if isinstance(value, StoredResult):
            os.unlink(value.path)
        raise


def _encoded(consumer: Consumer, value: Any) -> list[Any]:
    """The value as frames; a collected list goes in batches, which pickle faster than one huge list."""
    if not isinstance(consumer, Collect):
        return _encoded_number(value) if type(value) in _NUMBERS else encode_object(value)
    pieces: list[Any] = []
    for start in range(0, len(value), _RESULT_BATCH):
        pieces += encode_records(value[start : start + _RESULT_BATCH])
    return pieces


_encoded_number = functools.lru_cache(maxsize=256, typed=True)(encode_object)
"""Counts, and the values of tasks that have none, are few."""


def _fill(metrics: TaskMetrics, seconds: float, cpu_seconds: float) -> None:
    metrics.seconds = seconds
    metrics.cpu_seconds = cpu_seconds
    metrics.peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _raised(error: BaseException, metrics: TaskMetrics) -> Raised:
    blame = fuse.blame(error)
    failure = capture(
        error,
        record=blame.record if blame else None,
        operation=blame.operation if blame else None,
        call_site=blame.call_site if blame else None,
    )
    # Another attempt cannot pickle what this one could not, nor find a path that was mistyped; it may find more room.
    hopeless = isinstance(error, (NotPicklable, ResultTooLarge, UsageError)) or (
        isinstance(error, DataError) and not isinstance(error, (CorruptInput, DiskFull))
    )
    return Raised(failure, not hopeless, metrics)
