"""Runs a `__hash__` that is written in Python with another function in the place of `hash`.

So the stable hash needs no copy of what dataclasses, enums or the user's own classes do: their code is
the authority.
Only methods that use nothing but built-in names are rebound. Called by `hashing` alone.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

_STORING = frozenset({"STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL", "STORE_NAME", "STORE_DEREF"})
_STORING_NAMES = frozenset({"__setattr__", "__dict__", "setattr", "setdefault", "vars", "super", "__hash__", "cache"})


def globals_with(hash_function: Callable[[Any], int]) -> dict[str, Any]:
    """Globals for `rebind`, where `hash` means `hash_function`."""
    return {"__builtins__": {**vars(builtins), "hash": hash_function}}


def rebind(function: FunctionType, rebound_globals: dict[str, Any]) -> Callable[[Any], int]:
    """`function`, running with globals made by `globals_with`. Only for functions that pass `can_rebind`."""
    return FunctionType(function.__code__, rebound_globals, function.__name__)


def reads_only_fields(kind: type, function: FunctionType) -> bool:
    """Whether `function`, the `__hash__` of `kind`, reads fields of a dataclass alone, as generated ones do."""
    owner = next((one for one in kind.__mro__ if vars(one).get("__hash__") is function), None)
    fields = vars(owner).get("__dataclass_fields__", {}) if owner is not None else {}
    return (
        bool(fields)
        and function.__code__.co_names[:1] == ("hash",)
        and fields.keys() >= {*function.__code__.co_names[1:]}
    )


def can_rebind(function: FunctionType) -> bool:
    """Whether `function` calls `hash` and needs no names but built-in ones, and keeps nothing of what it computes.

    A method that stores its result would leave our hash in the user's object, where dicts would find it.
    """
    if function.__closure__ or function.__defaults__ or function.__kwdefaults__:
        return False
    names: set[str] = set()
    pending = [function.__code__]
    while pending:
        code = pending.pop()
        if not _STORING_NAMES.isdisjoint(code.co_names):
            return False
        for step in dis.get_instructions(code):
            if step.opname in _STORING:
                return False
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names.add(step.argval)
        pending += [const for const in code.co_consts if isinstance(const, CodeType)]
    return "hash" in names and all(hasattr(builtins, name) and name not in function.__globals__ for name in names)
