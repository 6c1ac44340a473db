"""Whether records can be shared: nothing that a task does to one of them can change what others see.

Asked once for each batch that is to be cached as live objects. Numbers and strings are answered at the speed of C, and
so are tuples of any contents, type by type and level by level. Tuples that are all alike, as they usually are, are gone
through by a loop made for their length, which takes half of that.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import sys
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

ATOMS = frozenset(
    {
        int, float, complex, bool, str, bytes, type(None), type(...), range, decimal.Decimal, fractions.Fraction,
        datetime.date, datetime.time, datetime.datetime, datetime.timedelta, uuid.UUID,
    }
)  # fmt: skip
"""Exact types: an instance of a subclass may have a `__dict__`."""

_DEEPEST = 50
_WIDEST = 16
_PROBES = 8
"""So many records are compared before all are."""


def all_immutable(records: Sequence[Any], views: frozenset[type] = frozenset()) -> bool:
    """Whether every record is immutable all the way down.

    `views` are types that hand out their items but no way to change what they hold; their items are looked at.
    """
    if len(records) > 1 and _are_alike(records):
        return True
    level: Sequence[Any] = records
    types = set(map(type, level))
    for _ in range(_DEEPEST):
        kinds = types - ATOMS
        containers: set[type] = set()
        fielded: set[type] = set()
        for kind in kinds:
            if kind in (tuple, frozenset) or kind in views or _is_bare_tuple(kind):
                containers.add(kind)
            elif _is_frozen_dataclass(kind):
                fielded.add(kind)
            elif not _is_other_atom(kind):
                return False
        if not containers and not fielded:
            return True
        if containers == types:
            # Nothing but containers, as usual: they are only unpacked where they hold more than atoms.
            types = set(map(type, chain.from_iterable(level)))
            if types <= ATOMS:
                return True
            level = list(chain.from_iterable(level))
        else:
            level = _inside(level, containers, fielded)
            types = set(map(type, level))
    return False


def _are_alike(records: Sequence[Any], depth: int = 0) -> bool:
    """Whether all are tuples of the same length, with atoms (or such tuples) of one exact type at each place."""
    first = records[0]
    if type(first) is not tuple or not 0 < len(first) <= _WIDEST or depth == _DEEPEST:
        return False
    kinds = list(map(type, first))
    if not all(kind is tuple or kind in ATOMS for kind in kinds):
        return False
    few = records[1 :: max(1, len(records) // _PROBES)]
    if any(type(each) is not tuple or list(map(type, each)) != kinds for each in few):
        return False
    if list(map(type, records)).count(tuple) != len(records):
        return False
    try:
        if not _loop_for(len(first))(records, *kinds):
            return False
    except ValueError:  # of another length
        return False
    nested = [i for i, kind in enumerate(kinds) if kind is tuple]
    return all(_are_alike([record[i] for record in records], depth + 1) for i in nested)


@lru_cache(maxsize=_WIDEST)
def _loop_for(width: int) -> Callable[..., bool]:
    """Whether tuples of this length have these types: it stops at the first that has not."""
    names = ", ".join(f"x{i}" for i in range(width))
    kinds = ", ".join(f"kind{i}" for i in range(width))
    other = " or ".join(f"type(x{i}) is not kind{i}" for i in range(width))
    code = f"def have_kinds(records, {kinds}):\n for {names}, in records:\n  if {other}: return False\n return True"
    made: dict[str, Any] = {}
    exec(code, made)
    found: Callable[..., bool] = made["have_kinds"]
    return found


def _inside(level: Sequence[Any], containers: set[type], fielded: set[type]) -> list[Any]:
    """What the containers among these hold, one level down."""
    items = list(chain.from_iterable([each for each in level if type(each) in containers]))
    if fielded:
        for each in level:
            if type(each) in fielded:
                items += _state(each)
    return items


def _state(instance: Any) -> list[Any]:
    """Everything that a frozen dataclass holds: its fields, and whatever else is in its `__dict__`."""
    held = list(getattr(instance, "__dict__", {}).values())
    for kind in type(instance).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        held += [getattr(instance, name) for name in names if name != "__weakref__" and hasattr(instance, name)]
    return held


def _is_bare_tuple(kind: type) -> bool:
    """A named tuple: instances of a subclass that has a `__dict__` can be changed."""
    return issubclass(kind, tuple) and kind.__dictoffset__ == 0


def _is_frozen_dataclass(kind: type) -> bool:
    params = getattr(kind, "__dataclass_params__", None)
    return params is not None and params.frozen and "__dataclass_fields__" in kind.__dict__


def _is_other_atom(kind: type) -> bool:
    """Members of enums, which are the same everywhere; scalars of numpy, except records, which can be changed."""
    if issubclass(kind, enum.Enum):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, numpy.generic) and not issubclass(kind, numpy.void)
