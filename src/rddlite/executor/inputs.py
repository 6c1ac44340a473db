"""The real `Inputs`: where the records of a task come from.

`pipeline` follows operations and pass-through partitions down to the node that makes records, so that everything
between it and the consumer becomes one loop. Shuffles are read through `shuffle/reader.py` and brought together by
`gather`, `joins` and `sorting`; sources are read through `fs` or from the payload itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rddlite.base.callsite import CallSite
from rddlite.base.metrics import TaskMetrics
from rddlite.errors import UsageError
from rddlite.executor import byparts, fuse, gather, joins, sorting
from rddlite.executor.budget import Budget, Holder
from rddlite.executor.caching import TaskCache
from rddlite.executor.interrupt import RECORDS
from rddlite.executor.pacing import Groups
from rddlite.executor.payloads import Stage
from rddlite.executor.relay import LEVELS, Relay
from rddlite.fs.lines import read_lines, read_portions
from rddlite.fs.objects import read_files, read_fixed
from rddlite.fs.writers import read_frames
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.caching import Cached
from rddlite.lineage.checkpoint import SavedPart
from rddlite.lineage.graph import Batch, Dependency, NarrowDependency, Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import Glom, JoinPairs, Keys, MapPartitions, MapValues, Op, UserFunction, Values
from rddlite.lineage.ordered import Order
from rddlite.lineage.partitioner import RangePartitioner
from rddlite.lineage.sources import ObjectsSplit, Range, TextSplit
from rddlite.lineage.taskside import as_results
from rddlite.lineage.wide import CoGrouped, Shuffled
from rddlite.serde.records import Frame, Kind, iter_frames
from rddlite.shuffle.fetcher import Reach
from rddlite.shuffle.near import near_size
from rddlite.shuffle.parted import Parted
from rddlite.shuffle.parts import n_parts_of
from rddlite.shuffle.reader import read_blocks

T = TypeVar("T")
_DEEPEST = 10_000
_MOST_WHOLE = 32
"""A partition is taken by parts where outputs that are not divided have no more in files than this share of what
operators may hold.
"""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Batches of records and the operations still to be done on them, in order.

    `portions` has less read where all are not needed: of so many portions, spread over the partition; and tells how
    many times as much there is. None where that cannot be, or saves nothing.
    """

    batches: Iterator[Batch]
    ops: list[Op]
    portions: Callable[[int], tuple[Iterator[Batch], float] | None] = lambda n: None


class TaskInputs:
    """Inputs of one task attempt, as seen from one level of nested iterators. Owned by the thread that runs it.

    Levels are counted so that a relay gives those far down a thread of their own (`executor/relay.py`).
    """

    def __init__(
        self,
        stage: Stage,
        sources: Mapping[tuple[int, int], Any],
        tables: Any,
        metrics: TaskMetrics,
        budget: Budget,
        storage_options: Mapping[str, Any],
        progress: memoryview | None = None,
        reach: Reach | None = None,
        cache: TaskCache | None = None,
    ) -> None:
        self._stage = stage
        self._sources = sources
        self._tables = tables
        self._metrics = metrics
        self._budget = budget
        self._storage_options = storage_options
        self._progress = progress
        self._reach = reach
        self._cache = cache
        self._relays: list[Relay] = []
        self._levels = self._levels_in_all = 0

    def close(self) -> None:
        """End the threads of relays. One that is in the user's code when its task is killed goes with its worker."""
        for relay in self._relays:
            relay.close()
        all(relay.join() for relay in self._relays)  # the first that does not end holds up all others above it

    def pipeline(self, node: Node, index: int, *, is_computed: bool = False) -> Pipeline:
        """Partition `index` of `node` as batches of the nearest node that makes records or is cached, and what to do
        with them. With `is_computed` it is computed, although it is cached itself.
        """
        ops: list[Op] = []
        while (kept := None if is_computed else node.cached) is None:
            is_computed = False
            if isinstance(node, Pipelined):
                ops.append(_bound(node.op, index))
                node = node.parent
                continue
            through = node.passes_through(index)
            if through is None:
                break
            dep, index = through
            node = dep.parent
        ops.reverse()
        n_nested = sum(isinstance(op, (MapPartitions, Glom)) for op in ops)
        if kept is not None:
            batches = self._below(n_nested + 1)._cached(node, kept, index)
            return Pipeline(batches, ops) if n_nested <= LEVELS else self._relayed(batches, ops, index)
        below = self._below(n_nested + bool(node.deps))
        if isinstance(node, Shuffled) and ops and isinstance(ops[0], Values) and _is_sorted_by_key(node.shuffle):
            # Sorted values without their keys: no pairs are made.
            batches, ops = below._sorted_values(node.shuffle, index), ops[1:]
            return Pipeline(batches, ops) if n_nested <= LEVELS else self._relayed(batches, ops, index)
        if isinstance(node, Shuffled) and ops and isinstance(ops[0], Keys) and _is_combined(node.shuffle):
            # Keys without their combined values, as in distinct: no pairs are made.
            batches, ops = below._combined(node.shuffle, index, keys_only=True), ops[1:]
            return Pipeline(batches, ops) if n_nested <= LEVELS else self._relayed(batches, ops, index)
        if isinstance(node, CoGrouped) and len(node.deps) == 2 and ops and isinstance(ops[0], JoinPairs):
            # Joined pairs straight from the two sides: no lists of values are made where keys are unique.
            left, right = (below._side(dep, index) for dep in node.deps)
            holder = self._holder(ops[0].site, "join")
            keep_right = self._is_better_kept(node.deps[1], node.deps[0], index)
            return Pipeline(joins.joined_batches(left, right, ops[0].how, holder, keep_right), ops[1:])
        if isinstance(node, CoGrouped) and ops and isinstance(ops[0], MapValues) and ops[0].f.call is as_results:
            # Groups as users see them: no tuples of lists are made before.
            batches, ops = below._cogrouped(node.deps, index, joins.as_results), ops[1:]
            return Pipeline(batches, ops) if n_nested <= LEVELS else self._relayed(batches, ops, index)
        payload = self._sources.get((self._stage.rows[id(node)], index))
        batches = node.compute(index, payload, below)
        if isinstance(node, Range):
            batches = self._counted(batches)
        if isinstance(payload, TextSplit) and not n_nested:
            return Pipeline(batches, ops, functools.partial(self._portions, payload))
        return Pipeline(batches, ops) if n_nested <= LEVELS else self._relayed(batches, ops, index)

    def narrow(self, dep: NarrowDependency, parent_index: int) -> Iterator[Batch]:
        """Batches of one partition of a parent in the same stage."""
        is_deep = self._levels > LEVELS
        source = (self._below(-self._levels) if is_deep else self).pipeline(dep.parent, parent_index)
        batches = fuse.emit(source.ops, source.batches, parent_index)
        return self._relay(batches) if is_deep else batches

    def _cached(self, node: Node, mark: Cached, index: int) -> Iterator[Batch]:
        """Batches of a partition that is kept, or is to be."""
        if self._cache is None:
            return self._computed(node, index)
        found = self._cache.find(mark, index)
        return found if found is not None else self._cache.keep(mark, index, self._computed(node, index))

    def _computed(self, node: Node, index: int) -> Iterator[Batch]:
        """Batches of a cached partition that is kept nowhere. A level of its own, opened when the first is asked for:
        thousands of cached RDDs may rest on one another.
        """
        is_deep = self._levels > LEVELS
        source = (self._below(-self._levels) if is_deep else self).pipeline(node, index, is_computed=True)
        batches = fuse.emit(source.ops, source.batches, index)
        yield from self._relay(batches) if is_deep else batches

    def _below(self, levels: int) -> TaskInputs:
        """These inputs, as seen from `levels` further down (or, if negative, from the top of a new thread)."""
        if not levels:
            return self
        below = TaskInputs.__new__(TaskInputs)
        below.__dict__.update(self.__dict__)
        below._levels += levels
        below._levels_in_all += max(levels, 0)
        if below._levels_in_all > _DEEPEST:
            raise UsageError(
                f"more than {_DEEPEST:,} nested mapPartitions or coalesced inputs in one stage: cut the lineage on the "
                "way, with checkpoint() or a shuffle (for instance repartition)"
            )
        return below

    def _relayed(self, batches: Iterator[Batch], ops: list[Op], index: int) -> Pipeline:
        """The pipeline with a relay after every so many operations that nest."""
        segment: list[Op] = []
        n_nested = 0
        for op in ops:
            segment.append(op)
            n_nested += isinstance(op, (MapPartitions, Glom))
            if n_nested == LEVELS:
                batches = self._relay(fuse.emit(segment, batches, index))
                segment, n_nested = [], 0
        return Pipeline(batches, segment)

    def _relay(self, batches: Iterator[Batch]) -> Relay:
        relay = Relay(batches)
        self._relays.append(relay)
        return relay

    def source(self, payload: Any) -> Iterator[Batch]:
        """Batches of a source partition."""
        match payload:
            case bytes():
                return self._slice(payload)
            case TextSplit(split, use_unicode):
                return self._lines(split, use_unicode)
            case ObjectsSplit(split, "records", length):
                return self._counted(read_fixed(split, length, self._metrics, self._storage_options))
            case ObjectsSplit(split, form, _):
                return self._counted(read_files(split, form, self._metrics, self._storage_options))
            case SavedPart(path):
                return self._counted(read_frames(path, self._storage_options))
        raise TypeError(f"unknown source partition: {payload!r}")

    def shuffled(self, dep: ShuffleDependency, index: int) -> Iterator[Batch]:
        """Batches of one reduce partition, combined and ordered as the dependency says."""
        if dep.aggregator is None and dep.key_order is None:
            return (frame.records() for frame in self._blocks(dep, index))
        if not dep.partitioner.keyed:
            return self._by_parts(dep, index, Frame.records, sorting.sorted_records, dep.key_order == "desc", None)
        if dep.aggregator is not None and dep.aggregator.grouping:
            return self._by_parts(dep, index, _groups_or_columns, gather.grouped_batches)
        if dep.aggregator is not None:
            return self._combined(dep, index)
        keyfunc = dep.partitioner.keyfunc if isinstance(dep.partitioner, RangePartitioner) else None
        key = keyfunc.call if keyfunc else None
        return self._by_parts(dep, index, Frame.columns, sorting.sorted_pairs, dep.key_order == "desc", key)

    def _combined(self, dep: ShuffleDependency, index: int, keys_only: bool = False) -> Iterator[Batch]:
        assert dep.aggregator is not None
        columns = (frame.columns() for frame in self._blocks(dep, index))
        holder = self._holder(dep.site, dep.label)
        return gather.combined_batches(columns, dep.aggregator, dep.combine_on_map, holder, keys_only)

    def _sorted_values(self, dep: ShuffleDependency, index: int) -> Iterator[Batch]:
        return self._by_parts(dep, index, Frame.columns, sorting.sorted_values, dep.key_order == "desc")

    def _by_parts(
        self,
        dep: ShuffleDependency,
        index: int,
        load: Callable[[Frame], T],
        operator: Callable[..., Iterator[Batch]],
        *how: Any,
    ) -> Iterator[Batch]:
        """What `operator(loaded frames, *how, holder)` makes of a partition: all at once, or of one part after another
        where map tasks divided it.
        """
        if n_parts_of(dep) > 1:
            most_whole = self._budget.capacity // _MOST_WHOLE
            parted = Parted(self._tables, dep.shuffle_id, index, self._metrics, self._reach, most_whole=most_whole)
            if parted.is_possible:
                for part in byparts.parts(parted, dep, index, load):
                    yield from operator(self._watched(part), *how, self._holder(dep.site, dep.label))
                return
        loaded = map(load, self._blocks(dep, index))
        yield from operator(loaded, *how, self._holder(dep.site, dep.label))

    def _watched(self, loaded: Iterator[T]) -> Iterator[T]:
        for some in loaded:
            self._show_progress()
            yield some

    def gathered(self, dep: NarrowDependency, aggregator: Aggregator, index: int, site: CallSite) -> Iterator[Batch]:
        """Batches of `(key, combined value)` of a partition of a parent in the same stage that has whole keys."""
        columns, holder = self._side(dep, index), self._holder(site, "gather")
        if aggregator.grouping:
            return gather.grouped_batches(columns, holder)
        return gather.combined_batches(columns, aggregator, False, holder)

    def sorted(self, dep: NarrowDependency, order: Order, index: int, site: CallSite) -> Iterator[Batch]:
        """Batches of the records of a partition of a parent in the same stage, in order."""
        keyfunc = order.keyfunc.call if order.keyfunc is not None else None
        key = sorting.key_of_pair(keyfunc) if order.keyed else keyfunc
        batches = self.narrow(dep, index)
        return sorting.sorted_records(batches, order.descending, key, self._holder(site, "sort"))

    def cogrouped(self, deps: Sequence[Dependency], index: int) -> Iterator[Batch]:
        """Batches of `(key, (list of values per dependency, ...))`."""
        return self._cogrouped(deps, index)

    def _cogrouped(self, deps: Sequence[Dependency], index: int, *how: Any) -> Iterator[Batch]:
        site = next((dep.site for dep in deps if isinstance(dep, ShuffleDependency)), None)
        return joins.cogrouped_batches([self._side(dep, index) for dep in deps], self._holder(site, "cogroup"), *how)

    def _side(self, dep: Dependency, index: int) -> Iterator[tuple[list[Any], list[Any]]]:
        if isinstance(dep, ShuffleDependency):
            return (frame.columns() for frame in self._blocks(dep, index))
        (parent_index,) = dep.parents_of(index)
        return map(gather.split_pairs, self.narrow(dep, parent_index))

    def _is_better_kept(self, dep: Dependency, other: Dependency, index: int) -> bool:
        """Whether one side of a join is known to be much smaller, or the other one is cached."""
        if not (isinstance(dep, ShuffleDependency) and isinstance(other, ShuffleDependency)):
            return _is_cached(other) and not _is_cached(dep)
        size = near_size(self._tables, dep.shuffle_id, index, self._reach)
        other_size = near_size(self._tables, other.shuffle_id, index, self._reach)
        return size is not None and other_size is not None and 2 * size < other_size

    def _holder(self, site: CallSite | None, otherwise: str) -> Holder:
        return self._budget.holder(otherwise if site is None else str(site), self._metrics)

    def _blocks(self, dep: ShuffleDependency, index: int) -> Iterator[Frame]:
        for frame in read_blocks(self._tables, dep.shuffle_id, index, self._metrics, self._reach):
            self._show_progress()
            yield frame

    def _slice(self, frames: bytes) -> Iterator[Batch]:
        return self._counted(frame.records() for frame in iter_frames(memoryview(frames)))

    def _lines(self, split: Any, use_unicode: bool) -> Iterator[Batch]:
        return self._counted(read_lines(split, use_unicode, self._metrics, self._storage_options))

    def _portions(self, part: TextSplit, n: int) -> tuple[Iterator[Batch], float] | None:
        found = read_portions(part.split, n, part.use_unicode, self._metrics, self._storage_options)
        return None if found is None else (self._counted(found[0]), found[1])

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._metrics.records_read += len(batch)
            self._show_progress()
            yield batch

    def _show_progress(self) -> None:
        if self._progress is not None:
            self._progress[RECORDS] = self._metrics.records_read + self._metrics.shuffle_records_read


def _groups_or_columns(frame: Frame) -> Groups | tuple[list[Any], list[Any]]:
    return Groups(*frame.groups()) if frame.kind is Kind.GROUPS else frame.columns()


def _is_cached(dep: Dependency) -> bool:
    """Whether records are kept on the way to this side: read in their order, they are where memory is fastest."""
    node = None if isinstance(dep, ShuffleDependency) else dep.parent
    while isinstance(node, Pipelined) and node.cached is None:
        node = node.parent
    return node is not None and node.cached is not None


def _is_combined(dep: ShuffleDependency) -> bool:
    """Whether there is one pair for each key, with a combined value."""
    return dep.aggregator is not None and not dep.aggregator.grouping and dep.partitioner.keyed


def _is_sorted_by_key(dep: ShuffleDependency) -> bool:
    """Whether pairs are sorted by their keys as they are."""
    by_function = isinstance(dep.partitioner, RangePartitioner) and dep.partitioner.keyfunc is not None
    return dep.key_order is not None and dep.partitioner.keyed and not by_function


def _bound(op: Op, index: int) -> Op:
    """The operation with the partition index filled in: below a union the index is another one than above it."""
    if isinstance(op, MapPartitions) and op.with_index:
        bound = UserFunction(functools.partial(op.f.call, index), op.f.site, op.f.blob)
        bound.name = op.f.name
        return replace(op, f=bound, with_index=False)
    return op
