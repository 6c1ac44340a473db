"""Any value that the declared types of messages allow."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates included
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(1 << 63), (1 << 64) - 1),
    str: TEXT,
    bytes: st.binary(max_size=20),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    type(None): st.none(),
}


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
