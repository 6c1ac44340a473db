"""Single values as JSON values and back: bytes, ranges, tuples, unions. The vocabulary of `translate.py`.

JSON has fewer kinds of values than Python: what would be lost (a range, a tuple that is a run or repeats itself) is an
object with one or two keys; `form_of` tells which kind of declared value a JSON value stands for.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NewType, cast, get_origin

Convert = Callable[[Any], Any]

_LONG = 32
"""Tuples of more items are looked at for a shorter form."""


class Elided(bytes):
    """Empty bytes in place of `size` bytes that a log does not have."""

    size: int

    def __new__(cls, size: int) -> Elided:
        """In place of so many bytes."""
        self = super().__new__(cls)
        self.size = size
        return self

    def __repr__(self) -> str:
        return f"<{self.size} bytes>"


def getter(names: list[str]) -> Convert:
    """All these attributes of an object, as a tuple."""
    if not names:
        return lambda value: ()
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def applied(convert: Convert | None, value: Any) -> Any:
    """The converted value."""
    return value if convert is None else convert(value)


def each_applied(values: Iterable[Any], converts: Iterable[Convert | None]) -> list[Any]:
    """Each value converted in its own way."""
    return [applied(convert, value) for value, convert in zip(values, converts, strict=True)]


def mapped(values: Sequence[Any], convert: Convert | None) -> Sequence[Any]:
    """All values converted in one way."""
    return values if convert is None else [convert(value) for value in values]


def pack_bytes(value: bytes) -> str:
    """As text."""
    return base64.b64encode(value).decode("ascii")


def unpack_bytes(text: str) -> bytes:
    """The inverse of `pack_bytes`."""
    return base64.b64decode(text)


def size_of(value: bytes | None) -> int | None:
    """In place of bytes, their number."""
    if value is None:
        return None
    return value.size if type(value) is Elided else len(value)


def elided(size: int | None) -> Elided | None:
    """The inverse of `size_of`, as far as that goes."""
    return None if size is None else Elided(size)


def pack_range(value: range) -> dict[str, list[int]]:
    """As an object with the key `range`."""
    return {"range": [value.start, value.stop, value.step]}


def unpack_range(row: dict[str, list[int]]) -> range:
    """The inverse of `pack_range`."""
    return range(*row["range"])


def plain(hint: Any) -> Any:
    """A NewType is what it is made of."""
    while isinstance(hint, NewType):
        hint = hint.__supertype__
    return hint


def form(member: Any) -> type:
    """The kind of JSON value that values of this declared type become."""
    if member is range:
        return range
    if get_origin(member) in (tuple, frozenset, dict):
        return list
    return str if member is bytes else cast("type", member)


def form_of(value: Any) -> type:
    """The kind of JSON value that this is, as `form` names it."""
    if type(value) is dict:
        return range if "range" in value else list
    return type(value)


def pack_tuple(values: tuple[Any, ...], pack: Convert | None) -> Any:
    """A tuple of any length; a long one as a run of numbers, or as the texts in it and which is where, if it can be."""
    if len(values) <= _LONG:
        return mapped(values, pack)
    if set(map(type, values)) == {int}:
        run = range(values[0], values[-1] + (step := (values[1] - values[0]) or 1), step)
        is_run = len(run) == len(values) and values == tuple(run)
        return {"run": [run.start, run.stop, run.step]} if is_run else values
    if not _is_text(values[0]):
        return mapped(values, pack)
    kinds = {value: i for i, value in enumerate(dict.fromkeys(values))}
    if len(kinds) * 4 > len(values) or not all(map(_is_text, kinds)):
        return mapped(values, pack)
    return {"of": mapped(list(kinds), pack), "at": [kinds[value] for value in values]}


def _is_text(value: Any) -> bool:
    """Whether what equals this value is the same value: 1, 1.0 and True are not."""
    return type(value) is str or (type(value) is tuple and all(type(part) is str for part in value))


def unpack_tuple(row: Any, unpack: Convert | None) -> tuple[Any, ...]:
    """The inverse of `pack_tuple`."""
    if type(row) is dict:
        if "run" in row:
            return tuple(range(*row["run"]))
        kinds = mapped(row["of"], unpack)
        return tuple(kinds[i] for i in row["at"])
    return tuple(mapped(row, unpack))
