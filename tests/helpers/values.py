"""Any value that the declared types of messages allow, and how a loop is tried with what peers say."""

from __future__ import annotations

import math
import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rddlite.base.outcome import TaskOutcome
from rddlite.net.wire import pack_outcome

TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates included
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(1 << 63), (1 << 64) - 1),
    str: TEXT,
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    type(None): st.none(),
}
FEW = st.integers(0, 12)
"""Numbers that may well be those of something."""
fixed = settings(
    max_examples=120, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
"""The same scripts every time."""


def likely(names: st.SearchStrategy[str]) -> dict[Any, st.SearchStrategy[Any]]:
    """Scalars of which many name something, and some are as odd as can be."""
    odd = st.sampled_from([math.inf, -math.inf, math.nan])
    return {**SCALARS, int: FEW | FEW | SCALARS[int], float: FEW | st.floats() | odd, str: names | TEXT}


def outcomes(scalars: dict[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[bytes]:
    """Packed outcomes, and what is none."""
    return values_of(TaskOutcome, scalars).map(pack_outcome) | st.binary(max_size=20)


def values_of(hint: Any, scalars: dict[Any, st.SearchStrategy[Any]] = SCALARS, **named: Any) -> st.SearchStrategy[Any]:
    """Anything that the declared type allows. `named` are strategies for fields of that name, at any depth."""
    hint = getattr(hint, "__supertype__", hint)
    if hint in scalars:
        return scalars[hint]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(
            hint,
            **{
                each.name: named[each.name] if each.name in named else values_of(hints[each.name], scalars, **named)
                for each in fields(hint)
            },
        )
    if get_origin(hint) is list:
        return st.lists(values_of(get_args(hint)[0], scalars, **named), max_size=3)
    assert get_origin(hint) in (Union, types.UnionType), hint
    return st.one_of([values_of(member, scalars, **named) for member in get_args(hint)])
