"""Writes the operations of a loop: what happens to one record between its source and its sink.

A pair stays two locals for as long as nobody needs the tuple: `keyBy`, `mapValues`, `(x, 1)` and joins build none for
the operation after them. Recognised idioms are written out instead of being called. Operations that give several
records open a `for`; one that drops a record continues with the next.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rddlite.executor.loopcode import LoopCode, Record, pair
from rddlite.lineage.idioms import unary
from rddlite.lineage.ops import (
    Filter,
    FlatMap,
    FlatMapValues,
    JoinPairs,
    KeyBy,
    Keys,
    Map,
    MapValues,
    Op,
    Values,
)
from rddlite.lineage.results import ResultIterable

if TYPE_CHECKING:
    from rddlite.executor.sinks import Sink


class Token(NamedTuple):
    """An operation as far as the shape of a loop depends on it: its kind, what its function is known to be, and how
    many arguments a `functools.partial` gives it, which the loop passes itself.
    """

    kind: type[Any]
    idiom: str | None = None
    n_bound: int = 0


_WRITTEN_OUT: dict[type[Any], set[str]] = {
    Map: {"identity", "first", "second", "pair_one", "pair_none", "swap"},
    MapValues: {"identity", "first", "second", "pair_one", "pair_none"},
    KeyBy: {"identity", "first", "second"},
    Filter: {"identity", "first", "second"},
    FlatMap: {"identity"},
    FlatMapValues: {"identity"},
}
"""Which idioms are worth knowing in which operation."""


def token(op: Op) -> Token:
    """The token of an operation that is done record by record."""
    if isinstance(op, JoinPairs):
        return Token(JoinPairs, op.how)
    if isinstance(op, (Keys, Values)):
        return Token(type(op))
    function = op.f.call  # type: ignore[union-attr]  # what is done per partition does not come here
    idiom = unary(function)
    return Token(type(op), idiom if idiom in _WRITTEN_OUT[type(op)] else None, len(bound_arguments(function)))


_OF_GROUPS = (len, sum, list, tuple, set, frozenset, sorted, max, min, any, all)
"""Built-in functions to which a list is as good as the `ResultIterable` of it, which each calls Python for."""


def is_wrapping(op: Op) -> bool:
    """Whether an operation makes of groups what users see."""
    return isinstance(op, MapValues) and op.f.call is ResultIterable


def takes_lists(op: Op) -> bool:
    """Whether an operation on groups gives the same of the lists that they are made of."""
    return isinstance(op, MapValues) and any(op.f.call is each for each in _OF_GROUPS)


def names_of(position: int, token: Token) -> list[str]:
    """What the loop calls its function for this operation, and the arguments that go before the record."""
    if token.idiom is not None or token.kind in (Keys, Values):
        return []
    return [f"f{position}", *(f"f{position}_{i}" for i in range(token.n_bound))]


def values_of(op: Op, token: Token) -> tuple[Any, ...]:
    """What goes by `names_of`."""
    if not names_of(0, token):
        return ()
    function: Any = op.f.call  # type: ignore[union-attr]  # none but these has names
    return (function.func, *bound_arguments(function)) if token.n_bound else (function,)


_MOST_BOUND = 8
_PLACEHOLDER = getattr(functools, "Placeholder", object())  # from 3.14 on


def bound_arguments(function: Any) -> tuple[Any, ...]:
    """What a partial puts before the record. Only of plain ones, which do nothing else: calling them costs a call."""
    if type(function) is not functools.partial or function.keywords or len(function.args) > _MOST_BOUND:
        return ()
    return () if any(argument is _PLACEHOLDER for argument in function.args) else function.args


_EXPRESSIONS = {
    "identity": "{}",
    "pair_one": "({}, 1)",
    "pair_none": "({}, None)",
    "first": "{}[0]",
    "second": "{}[1]",
}


def called(position: int, token: Token, argument: str) -> str:
    """The operation's function of `argument`, as an expression."""
    if token.idiom is not None:
        return _EXPRESSIONS[token.idiom].format(argument)
    function, *bound = names_of(position, token)
    return f"{function}({', '.join([*bound, argument])})"


class ChainWriter:
    """Writes `tokens` into `code`; the records that come out go to `sink`."""

    def __init__(self, code: LoopCode, tokens: Sequence[Token], sink: Sink) -> None:
        self.code = code
        self.tokens = tokens
        self.sink = sink

    @property
    def multiplies(self) -> bool:
        """Whether one record can become several."""
        return any(token.kind in _MANY for token in self.tokens)

    def write(self, start: int, record: Record) -> None:
        """The operations from `start` on, with `record` in hand, and the sink."""
        for position in range(start, len(self.tokens)):
            kind = self.tokens[position].kind
            if kind in _MANY:
                _MANY[kind](self, position, record)
                return
            record = _ONE[kind](self, position, record)
        self.sink.take(self.code, record)

    def whole(self, position: int, record: Record) -> Record:
        """The record with its tuple built."""
        if record.name is not None:
            return record
        self.code.line(f"p{position} = {record.expression}")
        return Record(f"p{position}", record.key, record.value)

    def split(self, position: int, record: Record) -> Record:
        """The record with key and value known."""
        if record.is_pair:
            return record
        assert record.name is not None
        self.code.risky(f"k{position} = {record.name}[0]", position, "item", record, record.name)
        self.code.risky(f"v{position} = {record.name}[1]", position, "item", record, record.name)
        return Record(record.name, f"k{position}", f"v{position}")

    def result(self, name: str, position: int, record: Record, argument: Record) -> str:
        """The local that holds the function of `argument`; `record` is what an error tells."""
        token = self.tokens[position]
        idiom = token.idiom
        if idiom == "first" and argument.key is not None:
            return argument.key
        if idiom == "second" and argument.value is not None:
            return argument.value
        argument = self.whole(position, argument)
        assert argument.name is not None
        if idiom == "identity":
            return argument.name
        self.code.risky(f"{name} = {called(position, token, argument.name)}", position, "call", record)
        return name

    def map(self, position: int, record: Record) -> Record:
        match self.tokens[position].idiom:
            case "identity":
                return record
            case "pair_one" | "pair_none" as idiom:
                record = self.whole(position, record)
                assert record.name is not None
                return pair(record.name, "1" if idiom == "pair_one" else "None")
            case "swap":
                return self._swapped(position, record)
            case "first" | "second":
                return Record(self.result(f"r{position}", position, record, record))
            case None if self.sink.splits_pairs and position == len(self.tokens) - 1:
                record = self.whole(position, record)
                result = called(position, self.tokens[position], record.expression)
                self.code.risky(f"k, v = {result}", position, "call and unpack", record)
                return pair("k", "v")
        record = self.whole(position, record)
        return Record(self.result(f"r{position}", position, record, record))

    def _swapped(self, position: int, record: Record) -> Record:
        if not record.is_pair:
            self.code.risky(f"k{position} = {record.name}[1]", position, "call", record)
            self.code.risky(f"v{position} = {record.name}[0]", position, "call", record)
            return Record(None, f"k{position}", f"v{position}")
        return Record(None, record.value, record.key)

    def filter(self, position: int, record: Record) -> Record:
        record = self.whole(position, record)
        assert record.name is not None
        condition = called(position, self.tokens[position], record.name)
        self.code.risky(f"if not {condition}: continue", position, "call", record)
        return record

    def map_values(self, position: int, record: Record) -> Record:
        record = self.split(position, record)
        assert record.key is not None
        return pair(record.key, self.result(f"w{position}", position, record, Record(record.value)))

    def key_by(self, position: int, record: Record) -> Record:
        record = self.whole(position, record)
        assert record.name is not None
        return pair(self.result(f"k{position}", position, record, record), record.name)

    def keys(self, position: int, record: Record) -> Record:
        return Record(record.key) if record.is_pair else self._item(position, record, 0)

    def values(self, position: int, record: Record) -> Record:
        return Record(record.value) if record.is_pair else self._item(position, record, 1)

    def _item(self, position: int, record: Record, index: int) -> Record:
        assert record.name is not None
        self.code.risky(f"r{position} = {record.name}[{index}]", position, "item", record, record.name)
        return Record(f"r{position}")

    def flat_map(self, position: int, record: Record) -> None:
        record = self.whole(position, record)
        items = self.result(f"i{position}", position, record, record)
        item = Record(f"r{position}")
        self._each(position, record, items, Body(f"r{position}", lambda: self.write(position + 1, item)))

    def flat_map_values(self, position: int, record: Record) -> None:
        record = self.split(position, record)
        assert record.key is not None
        items = self.result(f"i{position}", position, record, Record(record.value))
        item = pair(record.key, f"w{position}")
        self._each(position, record, items, Body(f"w{position}", lambda: self.write(position + 1, item)))

    def join_pairs(self, position: int, record: Record) -> None:
        code, how = self.code, self.tokens[position].idiom
        key, left, right = (f"{letter}{position}" for letter in "kab")
        if record.key is not None:
            key = record.key
            code.risky(f"{left}, {right} = {record.value}", position, "unpack", record, record.value or "")
        else:
            code.risky(f"{key}, ({left}, {right}) = {record.name}", position, "unpack", record, record.name or "")
        if how in ("left", "full"):
            code.line(f"{right} = {right} or ONE_NONE")
        code.line(f"for v{position} in {left}{' or ONE_NONE' if how in ('right', 'full') else ''}:")

        def write_joined() -> None:
            code.line(f"q{position} = (v{position}, w{position})")
            self.write(position + 1, pair(key, f"q{position}"))

        with code.block():
            self._each(position, record, right, Body(f"w{position}", write_joined))

    def _each(self, position: int, record: Record, items: str, body: Body) -> None:
        """The rest of the chain for each of `items`."""
        rest = self.tokens[position + 1 :]
        if self.tokens[position].kind is FlatMap and self.sink.takes_all(rest):
            self.sink.take_all(self.code, items, position, record)
        else:
            is_last = not any(later.kind in _MANY for later in rest)
            self.sink.loop(self.code, items, body, position, record, is_last)
        if items == f"i{position}":
            # Or what the function returned would be kept while it makes the next.
            self.code.line(f"{items} = None")


class Body(NamedTuple):
    """What a sink puts into the loop that it writes: the loop variable, and a function that writes the rest."""

    variable: str
    write: Callable[[], None]


_ONE: dict[type[Any], Callable[[ChainWriter, int, Record], Record]] = {
    Map: ChainWriter.map,
    Filter: ChainWriter.filter,
    MapValues: ChainWriter.map_values,
    KeyBy: ChainWriter.key_by,
    Keys: ChainWriter.keys,
    Values: ChainWriter.values,
}

_MANY: dict[type[Any], Callable[[ChainWriter, int, Record], None]] = {
    FlatMap: ChainWriter.flat_map,
    FlatMapValues: ChainWriter.flat_map_values,
    JoinPairs: ChainWriter.join_pairs,
}


def loops_of(token: Token) -> int:
    """How many loops an operation nests in the one around it."""
    return 0 if token.kind not in _MANY else 2 if token.kind is JoinPairs else 1
