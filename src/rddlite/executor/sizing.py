"""About how many bytes objects take: guesses from a few samples, that the budget corrects by what the process takes.

Called between batches, never per record. Nothing here raises for what an object does when it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, islice
from sys import getsizeof
from types import MemberDescriptorType
from typing import Any

_SAMPLES = 12
_ITEMS = 4
_DEPTH = 4
_DEFAULT = 64
_SLOT = 8
_ENTRY = 100
"""Of a dict: hash, key, value, and the room that is kept free."""


def weight(obj: Any, depth: int = _DEPTH) -> int:
    """About how many bytes an object takes with what it holds; what every process has anyway counts nothing."""
    kind = type(obj)
    if obj is None or kind is bool or (kind is int and -6 < obj < 257):
        return 0
    try:
        # A view of an array is small itself. Instances are not asked for what their class does not have.
        size = max(getsizeof(obj), obj.nbytes) if hasattr(kind, "nbytes") else getsizeof(obj)
    except Exception:  # whatever the user's __sizeof__ raises
        return _DEFAULT
    if depth == 0 or kind in (str, bytes, int, float):
        return size
    if kind in (tuple, list):
        return size + _of_items(obj[:: len(obj) // _ITEMS + 1], len(obj), depth)
    if kind in (set, frozenset):
        return size + _of_items(list(islice(obj, _ITEMS)), len(obj), depth)
    if kind is dict:
        return size + _of_items(list(chain.from_iterable(islice(obj.items(), _ITEMS))), 2 * len(obj), depth)
    attributes = getattr(obj, "__dict__", None)
    if type(attributes) is not dict:
        values = _slots(obj, kind)
        return size + _of_items(values[:_ITEMS], len(values), depth)
    # Names are shared by all instances of a class.
    values = list(islice(attributes.values(), _ITEMS))
    return size + _SLOT * len(attributes) + _of_items(values, len(attributes), depth)


def _slots(obj: Any, kind: type) -> list[Any]:
    """What is in the slots of an instance, read past whatever its class makes of attributes."""
    values = []
    for cls in kind.__mro__:
        for member in vars(cls).values() if "__slots__" in vars(cls) else ():
            if type(member) is MemberDescriptorType:
                with suppress(AttributeError):  # nothing was put into it
                    values.append(member.__get__(obj, kind))
    return values


def _of_items(sample: Sequence[Any], n: int, depth: int) -> int:
    return sum(weight(item, depth - 1) for item in sample) * n // len(sample) if sample else 0


def weight_each(items: Sequence[Any]) -> int:
    """About how many bytes each item of a list takes, and its place in the list."""
    if not items:
        return 0
    sample = items[:: len(items) // _SAMPLES + 1]
    return _SLOT + sum(map(weight, sample)) // len(sample)


def weight_of_table(table: dict[Any, Any]) -> int:
    """About how many bytes a table takes; each entry counts as the middle one of a few, so that a hot key among them
    does not make all others look large.
    """
    half = _SAMPLES // 2
    sample = [*islice(table.items(), half), *islice(reversed(table.items()), half)]
    weights = sorted(weight(key) + weight(value) for key, value in sample)
    return len(table) * (_ENTRY + weights[len(weights) // 2]) if weights else 0
