"""Short chains of one-to-one operations and filters as one list comprehension: faster than a loop that appends.

Each operation begins on a line of its own, and the record that it gets is bound by `:=`, which unlike the loop variable
survives an exception on every Python. The first operation's record is told by the list iterator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rddlite.executor.blame import Deed
from rddlite.executor.chain import Token, names_of
from rddlite.executor.loopcode import CURRENT_RECORD, LoopCode, Record
from rddlite.lineage.ops import Filter, KeyBy, Keys, Map, MapValues, Values

_LONGEST = 16
_MAKE_PAIRS = {Token(Map, "pair_one"), Token(Map, "pair_none"), Token(Map, "swap")}
_SPLIT_PAIRS = {Token(Map, "first"), Token(Map, "second"), Token(Map, "swap"), Token(Keys), Token(Values)}


class _Line(NamedTuple):
    text: str
    position: int = 0
    deed: Deed | None = None
    record: Record | None = None
    operand: str = ""


def fits(tokens: Sequence[Token]) -> bool:
    """Whether a comprehension is better than a loop, which need not build the pairs between two operations."""
    if not 0 < len(tokens) <= _LONGEST or any(token.kind not in _WRITERS for token in tokens):
        return False
    made = False
    for token in tokens:
        if made and (token in _SPLIT_PAIRS or token.kind is MapValues):
            return False
        made = made or token in _MAKE_PAIRS or token.kind in (KeyBy, MapValues)
    return True


def write_comprehension(code: LoopCode, head: str, tokens: Sequence[Token]) -> None:
    """`head` (such as `out = `) and a list of what becomes of the items of `it`, an iterator over the list `part`."""
    current = [_Line("r")]
    conditions: list[_Line] = []
    for position, token in enumerate(tokens):
        if token.kind is Filter:
            current, tested = _filtered(position, token, current)
            conditions += tested
        else:
            current = _WRITERS[token.kind](position, token, current)
    code.line(f"{head}[")
    for line in [*current, _Line("for r in it"), *conditions]:
        if line.deed is None:
            code.line(line.text)
        else:
            code.risky(line.text, line.position, line.deed, line.record, line.operand)
    code.line("]")


def _bound(position: int, current: list[_Line]) -> tuple[str, list[_Line], Record]:
    """A name for the value of `current`, the lines that evaluate and bind it, and it as a record."""
    if len(current) == 1:
        name = current[0].text
        return name, current, CURRENT_RECORD if name == "r" else Record(name)
    name = f"r{position}"
    return name, [_Line(f"({name} :="), *current, _Line(")")], Record(name)


def _call(position: int, token: Token, lines: list[_Line], record: Record) -> list[_Line]:
    """The operation's function of the value of `lines`. What errors a line raises are told by where it starts."""
    match token.idiom:
        case None:
            function, *bound = names_of(position, token)
            return [
                _Line(f"{function}({''.join(f'{each}, ' for each in bound)}", position, "call", record),
                *lines,
                _Line(")"),
            ]
        case "identity":
            return lines
        case "pair_one" | "pair_none" as idiom:
            return [_Line("("), *lines, _Line(", 1)" if idiom == "pair_one" else ", None)")]
        case "first" | "second" as idiom:
            return _item(position, lines, record, 0 if idiom == "first" else 1, "call")
    raise AssertionError(token)


def _item(position: int, lines: list[_Line], record: Record, index: int, deed: Deed = "item") -> list[_Line]:
    operand = record.name or ""
    return [_Line("(", position, deed, record, operand), *lines, _Line(f")[{index}]", position, deed, record, operand)]


def _map(position: int, token: Token, current: list[_Line]) -> list[_Line]:
    if token.idiom == "identity":
        return current
    name, lines, record = _bound(position, current)
    if token.idiom == "swap":
        second = _item(position, lines, record, 1, "call")
        return [_Line("("), *second, _Line(","), *_item(position, [_Line(name)], record, 0, "call"), _Line(")")]
    return _call(position, token, lines, record)


def _filtered(position: int, token: Token, current: list[_Line]) -> tuple[list[_Line], list[_Line]]:
    name, lines, record = _bound(position, current)
    first, *others = _call(position, token, lines, record)
    # Asking for the truth of a value can fail too, on the line where the value's expression starts.
    first = first._replace(position=position, deed="call", record=record)
    return [_Line(name)], [_Line("if ("), first, *others, _Line(")")]


def _map_values(position: int, token: Token, current: list[_Line]) -> list[_Line]:
    name, lines, record = _bound(position, current)
    value = _item(position, [_Line(name)], record, 1)
    return [
        _Line("("), *_item(position, lines, record, 0), _Line(","), *_call(position, token, value, record), _Line(")"),
    ]  # fmt: skip


def _key_by(position: int, token: Token, current: list[_Line]) -> list[_Line]:
    name, lines, record = _bound(position, current)
    return [_Line("("), *_call(position, token, lines, record), _Line(","), _Line(name), _Line(")")]


def _keys(position: int, token: Token, current: list[_Line]) -> list[_Line]:
    _, lines, record = _bound(position, current)
    return _item(position, lines, record, 0)


def _values(position: int, token: Token, current: list[_Line]) -> list[_Line]:
    _, lines, record = _bound(position, current)
    return _item(position, lines, record, 1)


_WRITERS: dict[type[Any], Any] = {
    Map: _map,
    Filter: _filtered,
    MapValues: _map_values,
    KeyBy: _key_by,
    Keys: _keys,
    Values: _values,
}
