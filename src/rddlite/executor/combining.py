"""The sink of aggregations by key: a dict that keeps one combined value for each key, filled in the loop itself.

The first key object of equal ones is kept, as everywhere in Python. Counting (`(x, 1)` merged by `+`) takes all items
of an iterable at once in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rddlite.executor.chain import Token
from rddlite.executor.loopcode import LoopCode, Record
from rddlite.executor.sinks import Merge, Sink
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.idioms import binary
from rddlite.lineage.ops import Map
from rddlite.serde.closures import loads

_IMMUTABLE = (int, float, complex, bool, str, bytes, type(None))


class Combining(NamedTuple):
    """How a table is filled, as far as the shape of the loop depends on it.

    `first` makes the first combined value of a key: `value` itself, `create(value)`, `merge(zero, value)` with one
    `zero` for all or with a fresh one `loaded` for each key, a new `list`, or (merging lists) that `lists` itself.
    """

    first: str
    merge: str | None = None


def combining(aggregator: Aggregator, merge_combined: bool) -> tuple[Combining, dict[str, Any]]:
    """The shape, and what the loop needs by name. `merge_combined`: values are combined values already."""
    if aggregator.grouping:
        return Combining("lists" if merge_combined else "list"), {}
    function = aggregator.merge_combiners if merge_combined else aggregator.merge_value
    assert function is not None
    merge = binary(function.call)
    needs = {} if merge is not None else {"merge": function.call}
    if merge_combined:
        return Combining("value", merge), needs
    if aggregator.zero is not None:
        zero = loads(aggregator.zero)
        if _is_immutable(zero):
            return Combining("zero", merge), {**needs, "zero": zero}
        return Combining("loaded", merge), {**needs, "zero": aggregator.zero}
    if aggregator.create is not None:
        return Combining("create", merge), {**needs, "create": aggregator.create.call}
    return Combining("value", merge), needs


def _is_immutable(zero: Any) -> bool:
    return type(zero) in _IMMUTABLE or (type(zero) is tuple and all(map(_is_immutable, zero)))


class Combine(Sink):
    """Fills `table`."""

    splits_pairs = True

    def __init__(self, how: Combining) -> None:
        self.how = how

    def start(self, code: LoopCode) -> None:
        code.line("get = table.get")
        code.line("missing = MISSING")

    def take(self, code: LoopCode, record: Record) -> None:
        if not record.is_pair:
            assert record.name is not None
            code.risky(f"k, v = {record.name}", self.position, "unpack", record, record.name)
            record = Record(record.name, "k", "v")
        key, value = record.key, record.value
        assert key is not None
        assert value is not None
        first, merge = self.how
        if first == "value" and merge == "add" and value == "1":
            code.risky(f"table[{key}] = get({key}, 0) + 1", self.position, "hash", record, key)
        elif first == "value" and (merge == "right" or (merge == "left" and value == "None")):
            # Of marks without a value the first is as good as the last; the first key stays in either case.
            code.risky(f"table[{key}] = {value}", self.position, "hash", record, key)
        elif first == "value" and merge == "left":
            code.risky(f"if {key} not in table: table[{key}] = {value}", self.position, "hash", record, key)
        else:
            self._take_merging(code, key, value, record)

    def _take_merging(self, code: LoopCode, key: str, value: str, record: Record) -> None:
        # A call of `get` costs less than looking twice where keys are texts or tuples, or the table is large.
        code.risky(f"c = get({key}, missing)", self.position, "hash", record, key)
        code.line("if c is missing:")
        with code.block():
            self._write_first(code, f"table[{key}]", value, record)
        code.line("else:")
        with code.block():
            self._write_next(code, f"table[{key}]", value, record)

    def _write_next(self, code: LoopCode, place: str, value: str, record: Record) -> None:
        match self.how.first:
            case "list":
                code.line(f"c.append({value})")
            case "lists":
                code.line(f"c.extend({value})")
            case _:
                # Bound to the new value as well, or the old one would be kept until the next record is there.
                Merge(self.how.merge).write_onto(code, f"{place} = c", "c", value, self.position, record)

    def _write_first(self, code: LoopCode, place: str, value: str, record: Record) -> None:
        match self.how.first:
            case "list":
                code.line(f"{place} = [{value}]")
            case "create":
                code.risky(f"{place} = create({value})", self.position, "call", record)
            case "zero":
                Merge(self.how.merge).write(code, place, "zero", value, self.position, record)
            case "loaded":
                code.line("c = loads(zero)")
                Merge(self.how.merge).write(code, place, "c", value, self.position, record)
            case _:
                code.line(f"{place} = {value}")

    def takes_all(self, rest: Sequence[Token]) -> bool:
        return self.how == Combining("value", "add") and tuple(rest) == (Token(Map, "pair_one"),)

    def take_all(self, code: LoopCode, items: str, position: int, record: Record | None) -> None:
        code.risky(f"count(table, {items})", position, "count", record, items)

    def takes_columns(self) -> bool:
        return self.how == Combining("value", "right")

    def take_columns(self, code: LoopCode, keys: str, values: str) -> None:
        code.line(f"table.update(zip({keys}, {values}))")

    def finish(self, code: LoopCode) -> None:
        code.line("return table")
