"""What takes the records of a partition, fused with the operations before it: consumers and the map-side combine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.base.sampling import SpreadSample
from rddlite.executor.budget import Holder
from rddlite.executor.chain import bound_arguments
from rddlite.executor.combining import Combining, combining
from rddlite.executor.fuse import call_partition, emit, flow, functions, stream
from rddlite.executor.inputs import Pipeline
from rddlite.executor.loops import Form, Shape, loop_of
from rddlite.executor.pacing import TableWeight, paced_for
from rddlite.executor.sinks import bound_names
from rddlite.executor.sizing import weight_each
from rddlite.lineage import taskside
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.consumers import (
    Apply,
    Collect,
    Consumer,
    Count,
    CountEach,
    Fold,
    Foreach,
    Reduce,
    Sample,
    SaveFrames,
    SaveLines,
    Take,
)
from rddlite.lineage.graph import Batch
from rddlite.lineage.idioms import binary
from rddlite.lineage.ops import Map, Op, UserFunction
from rddlite.serde.closures import loads

_SAMPLES_OF_PORTION = 4
_FEWEST_PORTIONS = 32

_ONCE = Map(UserFunction(taskside.with_one, CallSite("", "", 0)))


def run(consumer: Consumer, ops: Sequence[Op], batches: Iterator[Batch], index: int) -> Any:
    """The consumer's value for partition `index`, whose records are those of `batches` after `ops`."""
    match consumer:
        case Collect():
            return _run(consumer, "collect", None, {}, ops, batches, index)
        case Count():
            return _run(consumer, "count", None, {}, ops, batches, index)
        case Foreach(f):
            return _foreach(consumer, f.call, ops, batches, index)
        case Reduce(f):
            return _run(consumer, "reduce", binary(f.call), _merge(f.call), ops, batches, index)
        case Fold(zero, f):
            given = {"total": loads(zero), **_merge(f.call)}
            return _run(consumer, "fold", binary(f.call), given, ops, batches, index)
        case Take(n):
            return _take(n, ops, batches, index)
        case Apply(f):
            return call_partition(consumer, len(ops), index, _records_for(f, ops, batches, index))
        case Sample():
            sample = _sample(consumer, ops, batches, index)
            return sample.count, sample.kept
        case SaveLines() | SaveFrames():
            raise TypeError("files are written by fs.writers, from batches")
        case CountEach():
            raise TypeError("what counts hold is told to a holder: call counted")


def combined_tables(
    aggregator: Aggregator, ops: Sequence[Op], batches: Iterator[Batch], index: int, holder: Holder
) -> Iterator[dict[Any, Any]]:
    """One combined value for each key of a partition, whose records after `ops` must be pairs.

    A table whenever memory is full, and one for the rest: usually there is only that. It is always the same one, to be
    emptied before the next is asked for.

    Raises:
        TypeError, ValueError: for a record that is no pair.
        UnhashableKey: for a key without a hash.
    """
    how, given = combining(aggregator, merge_combined=False)
    parts, source, piece, tokens = flow(ops, batches, index).last(aggregator)
    loop = loop_of(Shape("combine", source, tokens, None, how))
    called = functions(piece, tokens)
    table: dict[Any, Any] = {}
    paced = paced_for(source)(parts, holder, TableWeight(table))
    with holder:
        while not paced.is_done:
            loop(paced, piece, *called, table=table, **given)
            yield table
            paced.emptied()


def counted(consumer: CountEach, source: Pipeline, index: int, holder: Holder) -> Any:
    """What `f` makes of how often each record occurs. All of that stays in memory: `holder` is told, for errors to say
    so.
    """
    parts, kind, piece, tokens = flow([*source.ops, _ONCE], source.batches, index).last(consumer)
    loop = loop_of(Shape("combine", kind, tokens, None, Combining("value", "add")))
    table: dict[Any, int] = {}
    paced = paced_for(kind)(parts, holder, TableWeight(table))
    with holder:
        while not paced.is_done:
            loop(paced, piece, *functions(piece, tokens), table=table)
        return call_partition(Apply(consumer.f), len(source.ops), index, table)


def _run(
    consumer: Consumer,
    form: Form,
    merge: str | None,
    given: dict[str, Any],
    ops: Sequence[Op],
    batches: Iterator[Batch],
    index: int,
) -> Any:
    parts, source, piece, tokens = flow(ops, batches, index).last(consumer)
    return loop_of(Shape(form, source, tokens, merge))(parts, piece, *functions(piece, tokens), **given)


def _foreach(
    consumer: Consumer, function: Callable[..., Any], ops: Sequence[Op], batches: Iterator[Batch], index: int
) -> Any:
    """A partial function is opened, as one of a `map` is: it costs a call for each record."""
    bound = bound_arguments(function)
    plain = function.func if isinstance(function, partial) and bound else function
    given = {"consume": plain, **dict(zip(bound_names(len(bound)), bound, strict=True))}
    parts, source, piece, tokens = flow(ops, batches, index).last(consumer)
    loop = loop_of(Shape("foreach", source, tokens, n_bound=len(bound)))
    return loop(parts, piece, *functions(piece, tokens), **given)


def sampled(consumer: Sample, source: Pipeline, index: int) -> tuple[int, list[Any]]:
    """The value of `run`. Of what can be read in portions little is read, and the number of records is then a guess."""
    portions = source.portions(max(_FEWEST_PORTIONS, consumer.size // _SAMPLES_OF_PORTION))
    if portions is not None:
        batches, times = portions
        sample = _sample(consumer, source.ops, batches, index)
        if sample.count >= consumer.size:
            return int(sample.count * times), sample.kept
    sample = _sample(consumer, source.ops, source.batches, index)
    return sample.count, sample.kept


def _records_for(function: UserFunction, ops: Sequence[Op], batches: Iterator[Batch], index: int) -> Iterator[Any]:
    """All records of the partition, for a function that takes them all; one by one for a user's, which may stop."""
    if getattr(function.call, "func", None) is taskside.drain:
        return stream(ops, batches, index)
    found = flow(ops, batches, index)
    return chain.from_iterable(found.emit()) if found.source == "batches" else found.stream()


def _sample(consumer: Sample, ops: Sequence[Op], batches: Iterator[Batch], index: int) -> SpreadSample:
    sample = SpreadSample(consumer.size, consumer.seed, index)
    for batch in flow(ops, batches, index).emit():
        wanted = [batch[i] for i in sample.indexes(len(batch))]
        if wanted:
            values = list(chain.from_iterable(emit(consumer.ops, iter([wanted]), index)))
            sample.keep(values, weight_each(values))
    return sample


def _merge(function: Callable[..., Any]) -> dict[str, Any]:
    return {} if binary(function) is not None else {"merge": function}


def _take(n: int, ops: Sequence[Op], batches: Iterator[Batch], index: int) -> list[Any]:
    if n <= 0:
        return []
    return list(islice(stream(ops, batches, index), n))
