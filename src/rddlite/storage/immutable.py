"""Whether records can be shared: nothing that a task does to one of them can change what others see.

Asked once for each batch that is to be cached as live objects. The usual shapes (numbers, strings, tuples of them) are
answered at the speed of C, type by type and level by level; nothing here is called once per record for them.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import sys
import uuid
from collections.abc import Sequence
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


def all_immutable(records: Sequence[Any], views: frozenset[type] = frozenset()) -> bool:
    """Whether every record is immutable all the way down.

    `views` are types that hand out their items but no way to change what they hold; their items are looked at.
    """
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
