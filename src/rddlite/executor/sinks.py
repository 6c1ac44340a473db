"""The ends of loops: what is done with each record that comes out of a chain of operations.

A sink writes the locals that it needs, what it does with one record, and what the loop returns. Where it can take all
items of an iterable at once, it says so, and no loop over them is written. Aggregations by key are in `combining`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rddlite.executor.blame import Deed
from rddlite.executor.chain import Body, Token
from rddlite.executor.loopcode import LoopCode, Record

_NONE: tuple[Token, ...] = ()


class Sink:
    """What a loop does with its records. `position` is the place after the last operation."""

    position = 0
    splits_pairs = False
    """Whether `take` unpacks records into key and value, so that they may as well be handed to it as such."""

    def start(self, code: LoopCode) -> None:
        """Locals that are set before the loop."""

    def take(self, code: LoopCode, record: Record) -> None:
        """Do it with one record."""
        raise NotImplementedError

    def takes_all(self, rest: Sequence[Token]) -> bool:
        """Whether `take_all` may stand for the operations `rest` on each item, and `take`."""
        return False

    def take_all(self, code: LoopCode, items: str, position: int, record: Record | None) -> None:
        """Do it with all items of an iterable, which operation `position` made from `record`."""
        raise NotImplementedError

    def takes_columns(self) -> bool:
        """Whether `take_columns` may stand for `take` of each pair."""
        return False

    def take_columns(self, code: LoopCode, keys: str, values: str) -> None:
        """Do it with all pairs of two columns."""
        raise NotImplementedError

    def loop(self, code: LoopCode, items: str, body: Body, position: int, record: Record | None, is_last: bool) -> None:
        """Write the loop over what operation `position` made from `record`. `is_last`: none is nested in it."""
        code.risky(f"for {body.variable} in {items}:", position, _deed(position), record, items)
        with code.block():
            body.write()

    def finish(self, code: LoopCode) -> None:
        """What the function returns."""
        raise NotImplementedError


class Yield(Sink):
    """Records one by one, each computed when it is asked for."""

    def take(self, code: LoopCode, record: Record) -> None:
        code.line(f"yield {record.expression}")

    def takes_all(self, rest: Sequence[Token]) -> bool:
        return tuple(rest) == _NONE

    def take_all(self, code: LoopCode, items: str, position: int, record: Record | None) -> None:
        code.risky(f"yield from {items}", position, _deed(position), record, items)

    def finish(self, code: LoopCode) -> None:
        pass


class Tally(Sink):
    """The number of records."""

    def start(self, code: LoopCode) -> None:
        code.line("n = 0")

    def take(self, code: LoopCode, record: Record) -> None:
        code.line("n += 1")

    def takes_all(self, rest: Sequence[Token]) -> bool:
        return tuple(rest) == _NONE

    def take_all(self, code: LoopCode, items: str, position: int, record: Record | None) -> None:
        code.line(f"if type({items}) is list or type({items}) is range:")
        with code.block():
            code.line(f"n += len({items})")
        code.line("else:")
        with code.block():
            code.risky(f"for _ in {items}:", position, _deed(position), record, items)
            with code.block():
                code.line("n += 1")

    def finish(self, code: LoopCode) -> None:
        code.line("return n")


class Gather(Sink):
    """A list of all records."""

    def start(self, code: LoopCode) -> None:
        code.line("out = []")

    def take(self, code: LoopCode, record: Record) -> None:
        code.line(f"out.append({record.expression})")

    def takes_all(self, rest: Sequence[Token]) -> bool:
        return tuple(rest) == _NONE

    def take_all(self, code: LoopCode, items: str, position: int, record: Record | None) -> None:
        code.risky(f"out += {items}", position, _deed(position), record, items)

    def finish(self, code: LoopCode) -> None:
        code.line("return out")


def bound_names(n: int) -> list[str]:
    """What a loop calls the arguments that its consumer's function is given before the record."""
    return [f"bound{i}" for i in range(n)]


class Call(Sink):
    """A function called on every record, after so many arguments that are always the same."""

    def __init__(self, n_bound: int) -> None:
        self.n_bound = n_bound

    def take(self, code: LoopCode, record: Record) -> None:
        arguments = ", ".join([*bound_names(self.n_bound), record.expression])
        code.risky(f"consume({arguments})", self.position, "call", record)

    def finish(self, code: LoopCode) -> None:
        code.line("return None")


class Merge(NamedTuple):
    """How two values become one: a recognised idiom, or None for a call of `merge`. Never in place: `+` is not `+=`."""

    idiom: str | None

    def write(self, code: LoopCode, place: str, current: str, value: str, position: int, record: Record) -> None:
        """`place = merge(current, value)`."""
        code.risky(f"{place} = {self._expression(current, value)}", position, "call", record)

    def write_onto(self, code: LoopCode, place: str, current: str, value: str, position: int, record: Record) -> None:
        """`place = merge(current, value)`, with nothing done where that is what `place` holds already."""
        match self.idiom:
            case "left":
                code.line("pass")
            case "max" | "min":
                self._write_if_better(code, place, current, value, position, record)
            case _:
                self.write(code, place, current, value, position, record)

    def _write_if_better(
        self, code: LoopCode, place: str, current: str, value: str, position: int, record: Record
    ) -> None:
        # As the built-in functions decide: the second argument wins only if it is strictly better.
        code.risky(f"if {value} {'>' if self.idiom == 'max' else '<'} {current}:", position, "call", record)
        with code.block():
            code.line(f"{place} = {value}")

    def _expression(self, current: str, value: str) -> str:
        match self.idiom:
            case None:
                return f"merge({current}, {value})"
            case "left":
                return current
            case "right":
                return value
            case "max" | "min" as idiom:
                return f"{value} if {value} {'>' if idiom == 'max' else '<'} {current} else {current}"
        return f"{current} {'+' if self.idiom == 'add' else '*'} {value}"


class Accumulate(Sink):
    """One value out of all records. Without `start_given` the first record is the first value."""

    def __init__(self, idiom: str | None, start_given: bool) -> None:
        self.merge, self.start_given = Merge(idiom), start_given
        self._is_first: bool | None = False if start_given else None

    def start(self, code: LoopCode) -> None:
        if not self.start_given:
            code.line("total = MISSING")

    def loop(self, code: LoopCode, items: str, body: Body, position: int, record: Record | None, is_last: bool) -> None:
        if self.start_given or position >= 0 or not is_last:
            super().loop(code, items, body, position, record, is_last)
            return
        # A loop for the first record and one for the others: no question for each of them which it is.
        code.risky(f"it = iter({items})", position, "read")
        code.line("if total is MISSING:")
        with code.block():
            self._is_first = True
            super().loop(code, "it", body, position, record, is_last)
        self._is_first = False
        super().loop(code, "it", body, position, record, is_last)

    def take(self, code: LoopCode, record: Record) -> None:
        if self._is_first:
            code.line(f"total = {record.expression}")
            code.line("break")
            return
        if record.name is None:
            code.line(f"taken = {record.expression}")
            record = Record("taken")
        assert record.name is not None
        if self._is_first is None:
            code.line("if total is MISSING:")
            with code.block():
                code.line(f"total = {record.name}")
                code.line("continue")
        self.merge.write_onto(code, "total", "total", record.name, self.position, record)

    def finish(self, code: LoopCode) -> None:
        code.line("return total" if self.start_given else "return [] if total is MISSING else [total]")


class Emit(Sink):
    """Batches of records. Loops that may give many for one record hand on what they have at every `limit` records."""

    def take(self, code: LoopCode, record: Record) -> None:
        code.line(f"out.append({record.expression})")

    def takes_all(self, rest: Sequence[Token]) -> bool:
        return tuple(rest) == _NONE

    def take_all(self, code: LoopCode, items: str, position: int, record: Record | None) -> None:
        def extend(some: str) -> None:
            code.risky(f"out += {some}", position, _deed(position), record, items)

        _write_paced(code, items, position, record, extend)

    def loop(self, code: LoopCode, items: str, body: Body, position: int, record: Record | None, is_last: bool) -> None:
        if not is_last:
            super().loop(code, items, body, position, record, is_last)
            return

        def each(some: str) -> None:
            code.risky(f"for {body.variable} in {some}:", position, _deed(position), record, items)
            with code.block():
                body.write()

        _write_paced(code, items, position, record, each)

    def finish(self, code: LoopCode) -> None:
        pass


def _deed(position: int) -> Deed:
    return "iterate" if position >= 0 else "read"


def _write_paced(
    code: LoopCode, items: str, position: int, record: Record | None, consume: Callable[[str], None]
) -> None:
    """`consume(items)` where that is a list that still fits into this batch, else a piece at a time."""
    code.line(f"if (type({items}) is list or type({items}) is tuple) and len({items}) <= room:")
    with code.block():
        code.line(f"room -= len({items})")
        consume(items)
    code.line("else:")
    with code.block():
        code.risky(f"rest = iter({items})", position, _deed(position), record, items)
        code.line("few = islice(rest, limit)")
        code.line("while True:")
        with code.block():
            consume("few")
            code.line("if len(out) >= limit:")
            with code.block():
                code.line("limit = next_limit(out, limit)")
                code.line("yield out")
                code.line("out = []")
            code.risky("for head in rest:", position, _deed(position), record, items)
            with code.block():
                code.line("few = chain((head,), islice(rest, limit))")
                code.line("break")
            code.line("else: break")
        code.line("room = limit - len(out)")
        code.line("rest = few = None")
