"""Chains of record operations as iterators: record by record, or batch by batch.

A chain is cut at operations that take a whole partition (mapPartitions, glom), and into pieces where Python's limits on
nesting want it; each piece becomes one compiled loop (`loops`). `Flow` puts the loops together for one partition.
Functions of the user are called once per record and in order, whichever form is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from rddlite.errors import StopIterationInTask
from rddlite.executor.blame import Blame, Piece, blame, calls_once_per_partition, name_of
from rddlite.executor.bybatches import by_batches
from rddlite.executor.chain import Token, is_wrapping, loops_of, takes_lists, token, values_of
from rddlite.executor.kernels import MOST_RECORDS
from rddlite.executor.loops import Shape, Source, loop_of
from rddlite.lineage.graph import Batch
from rddlite.lineage.ops import Glom, MapPartitions, Op
from rddlite.serde.shortrepr import short_repr, type_name

__all__ = ["Blame", "blame", "emit", "flow", "stream"]

_MOST_OPS = 200
_MOST_LOOPS = 14
"""Python nests at most 20 blocks; a loop has up to five beside those of its operations."""


def stream(ops: Sequence[Op], batches: Iterator[Batch], index: int) -> Iterator[Any]:
    """The records of a partition after `ops`, each computed when it is asked for and not before.

    Functions of mapPartitions are called here; what they return is iterated on demand.
    """
    return flow(ops, batches, index, on_demand=True).stream()


def emit(ops: Sequence[Op], batches: Iterator[Batch], index: int) -> Iterator[Batch]:
    """The records of a partition after `ops` in non-empty batches; the very batches that came in if there are no `ops`.

    A batch in is worked off at once, but what comes out is handed on at every few thousand records at the latest.
    """
    return flow(ops, batches, index).emit()


def flow(ops: Sequence[Op], batches: Iterator[Batch], index: int, *, on_demand: bool = False) -> Flow:
    """`ops` on the records of partition `index`, up to the last mapPartitions or glom; the rest is still to be done.

    `on_demand` says that not all records may be wanted, so that none must be computed before it is asked for.
    """
    current = Flow(batches, "batches", None, 0)
    until = len(ops) if on_demand else _last_on_demand(ops)
    for position, op in enumerate(ops):
        if isinstance(op, MapPartitions):
            of_batches = by_batches(op, index) if position > until else None
            if of_batches is not None:
                current = Flow(of_batches(current.emit()), "batches", op, position + 1)
                continue
            current = _opened(op, position, call_partition(op, position, index, current.stream()))
        elif isinstance(op, Glom):
            current = Flow(_in_one(current.emit()), "batches", None, position + 1)
        elif current.ops and takes_lists(op) and is_wrapping(current.ops[-1]):
            current.ops[-1] = op
        else:
            current.ops.append(op)
    return current


def _last_on_demand(ops: Sequence[Op]) -> int:
    """The place of the last function that may stop before the end of the partition; -1 if there is none."""
    places = (i for i, op in enumerate(ops) if isinstance(op, MapPartitions) and by_batches(op, 0) is None)
    return max(places, default=-1)


class Flow:
    """Batches of one partition, and operations still to be done on each record. To be used once.

    `origin` is the operation whose iterator the batches are, if they are a user's own; `start` is the place of `ops[0]`
    in the whole chain.
    """

    def __init__(self, batches: Iterator[Any], source: Source, origin: Any, start: int) -> None:
        self.batches = batches
        self.source: Source = source
        self.origin = origin
        self.start = start
        self.ops: list[Op] = []

    def stream(self) -> Iterator[Any]:
        """The records, one by one."""
        for piece, tokens in self._pieces():
            records = loop_of(Shape("stream", self.source, tokens))(self.batches, piece, *functions(piece, tokens))
            self._go_on(iter((records,)), "iterable")
        if self.source == "iterable":
            (records,) = self.batches
            return iter(records)
        return chain.from_iterable(self.batches)

    def emit(self) -> Iterator[Batch]:
        """The records in batches."""
        pieces = self._pieces() or self._gathering()
        for piece, tokens in pieces:
            self._emitted(piece, tokens)
        return self.batches if pieces else map(_listed, self.batches)

    def last(self, consumer: Any) -> tuple[Iterator[Any], Source, Piece, tuple[Token, ...]]:
        """What a consumer's loop reads, how, and the operations that become part of that loop."""
        pieces = self._pieces()
        for piece, tokens in pieces[:-1]:
            self._emitted(piece, tokens)
        piece, tokens = pieces[-1] if pieces else (Piece((), self.start), ())
        return self.batches, self.source, Piece(piece.ops, piece.start, self.origin, consumer), tokens

    def _emitted(self, piece: Piece, tokens: tuple[Token, ...]) -> None:
        loop = loop_of(Shape("emit", self.source, tokens))
        self._go_on(loop(self.batches, piece, *functions(piece, tokens)), "batches")

    def _go_on(self, batches: Iterator[Any], source: Source) -> None:
        self.batches, self.source, self.origin = batches, source, None

    def _gathering(self) -> list[tuple[Piece, tuple[Token, ...]]]:
        """A loop that does nothing but make lists of what a user's iterator gives."""
        return [] if self.source == "batches" else [(Piece((), self.start, self.origin), ())]

    def _pieces(self) -> list[tuple[Piece, tuple[Token, ...]]]:
        """`ops` cut where one loop would be too long or too deep for Python."""
        pieces: list[tuple[Piece, tuple[Token, ...]]] = []
        tokens: list[Token] = []
        start = loops = 0
        for end, op in enumerate(self.ops):
            next_token = token(op)
            loops += loops_of(next_token)
            if loops > _MOST_LOOPS or len(tokens) == _MOST_OPS:
                pieces.append(self._piece(start, end, tokens))
                tokens, start, loops = [], end, loops_of(next_token)
            tokens.append(next_token)
        if tokens:
            pieces.append(self._piece(start, len(self.ops), tokens))
        return pieces

    def _piece(self, start: int, end: int, tokens: list[Token]) -> tuple[Piece, tuple[Token, ...]]:
        origin = self.origin if start == 0 else None
        return Piece(tuple(self.ops[start:end]), self.start + start, origin), tuple(tokens)


def functions(piece: Piece, tokens: Sequence[Token]) -> list[Any]:
    """The functions that a loop calls, in order, and what it gives them beside records."""
    return [value for op, each in zip(piece.ops, tokens, strict=True) for value in values_of(op, each)]


def call_partition(op: Any, position: int, index: int, records: Iterable[Any]) -> Any:
    """The user's function of a whole partition.

    Raises:
        StopIterationInTask: if it raises StopIteration itself; an iterator that it returns may do so as it likes.
    """
    try:
        return op.f.call(index, records) if op.with_index else op.f.call(records)
    except StopIteration as error:
        raise StopIterationInTask("Caught StopIteration thrown from user's code; failing the task") from error


def _opened(op: MapPartitions, position: int, result: Any) -> Flow:
    """A flow of what a mapPartitions function returned."""
    if type(result) is list:
        parts = (result[at : at + MOST_RECORDS] for at in range(0, len(result), MOST_RECORDS))
        return Flow(parts, "batches", op, position + 1)
    if not hasattr(type(result), "__iter__") and not hasattr(type(result), "__getitem__"):
        raise TypeError(
            f"{name_of(op)} must return an iterable, but returned {short_repr(result)} ({type_name(type(result))})"
        )
    return Flow(iter((_iterated(op, position, result),)), "iterable", op, position + 1)


def _iterated(op: MapPartitions, position: int, result: Any) -> Iterable[Any]:
    try:
        records: Iterable[Any] = iter(result)
    except StopIteration as error:
        raise StopIterationInTask("Caught StopIteration thrown from user's code; failing the task") from error
    return records


def _listed(batch: Batch | range) -> Batch:
    return batch if type(batch) is list else list(batch)


def _in_one(batches: Iterator[Batch]) -> Iterator[Batch]:
    records: Batch = []
    for batch in batches:
        records += batch
    yield [records]


for _caller in (call_partition, _opened, _iterated):
    calls_once_per_partition(_caller.__code__)
