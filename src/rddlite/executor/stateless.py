"""Whether what tasks call keeps nothing from one task to the next, so that the tasks of a worker can share it.

Tasks never share what a function captured, unless nobody can tell. Only what is certain counts: plain functions that
capture nothing but values that cannot change, modules, and what other processes import by name (which tasks of one
process share anyway), and whose code has no means to leave anything behind in itself. A wrong "no" costs some
microseconds per task.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Iterable
from dataclasses import fields
from itertools import chain
from opcode import opmap
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

from rddlite.lineage.ops import UserFunction
from rddlite.storage.immutable import ATOMS

_MOST_LOOKS = 2_000
"""So many values are looked at: what captures more is no matter of microseconds."""
_GLOBAL_STORES = {opmap["STORE_GLOBAL"], opmap["DELETE_GLOBAL"]}
_CELL_STORES = {opmap["STORE_DEREF"], opmap["DELETE_DEREF"]}
_ATTRIBUTE_STORES = {opmap["STORE_ATTR"], opmap["DELETE_ATTR"]}
"""Functions and partial ones have attributes, and may be reached as captures, arguments and parts of tuples."""
_WAYS_ROUND = frozenset(
    {
        "globals", "locals", "vars", "eval", "exec", "setattr", "delattr", "getattr", "__dict__", "__globals__",
        "__closure__", "__code__", "__defaults__", "__kwdefaults__", "__builtins__", "__setattr__", "_getframe",
        "currentframe", "gc", "cell_contents", "f_globals", "f_locals", "update_wrapper", "wraps", "warn",
        "__annotations__", "__getattribute__", "__reduce__", "__reduce_ex__", "__setstate__", "keywords",
    }
)  # fmt: skip
"""Names with which code may reach what holds its own captures, or what belongs to a captured function."""
_GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)


def keeps_nothing(plan: Any) -> bool:
    """Whether a plan of rddlite's own (tuples, lists, frozen dataclasses, functions of the user's) is stateless."""
    try:
        return _Look().at_plan(plan)
    except Exception:  # modules and functions are asked for attributes, which may be anything, and may run code
        return False


class _Look:
    """One look at everything that can be reached."""

    def __init__(self) -> None:
        self._n_left = _MOST_LOOKS
        self._seen: set[int] = set()

    def at_plan(self, value: Any) -> bool:
        """Containers of rddlite's own are never changed by tasks; what they hold is looked at."""
        self._n_left -= 1
        if self._n_left < 0:
            return False
        kind = type(value)
        if kind is UserFunction:
            return self._at_captured(value.call) and self.at_plan(value.site)
        if kind in (tuple, list):
            return all(map(self.at_plan, value))
        if kind.__module__.startswith("rddlite.") and _is_frozen_dataclass(kind):
            return all(self.at_plan(getattr(value, field.name)) for field in fields(kind))
        return self._at_captured(value)

    def _at_captured(self, value: Any) -> bool:
        self._n_left -= 1
        if self._n_left < 0:
            return False
        kind = type(value)
        if kind in ATOMS:
            return True
        if kind in (tuple, frozenset):
            return all(map(self._at_captured, value))
        if kind is ModuleType:
            return sys.modules.get(value.__name__) is value
        if kind is type or kind is BuiltinFunctionType:
            return _is_importable(value) and value.__name__ not in _WAYS_ROUND
        if kind is FunctionType:
            if _is_importable(value):
                return value.__name__ not in _WAYS_ROUND
            return self._at_function(value)
        if kind is functools.partial:
            held = (value.func, *value.args, *value.keywords.values(), *value.__dict__.values())
            return not value.__dict__ and all(map(self._at_captured, held))
        return kind in _GETTERS and _is_harmless(_parts(value)) and self._at_captured(_parts(value))

    def _at_function(self, function: FunctionType) -> bool:
        if id(function) in self._seen:
            return True
        self._seen.add(id(function))
        if function.__dict__:
            return False
        codes = list(_codes(function.__code__))
        if not all(map(_leaves_nothing, codes)):
            return False
        names = set(chain.from_iterable(code.co_names for code in codes))
        given = function.__globals__
        captured = [given[name] for name in names if name in given]
        captured += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for cell in function.__closure__ or ():
            if not _is_full(cell):
                return False
            captured.append(cell.cell_contents)
        return all(map(self._at_captured, captured))


def _parts(getter: Any) -> tuple[Any, ...]:
    reduced: tuple[Any, ...] = getter.__reduce__()
    return tuple(reduced[1])


def _is_harmless(parts: Iterable[Any]) -> bool:
    """Whether none of the attributes that are got, or methods that are called, is a way round."""
    names = chain.from_iterable(part.split(".") for part in parts if type(part) is str)
    return _WAYS_ROUND.isdisjoint(names)


def _is_full(cell: CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _is_importable(value: Any) -> bool:
    """Whether every process finds this very object by its name."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    if found is None or found.__name__ == "__main__":
        return False
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _is_frozen_dataclass(kind: type) -> bool:
    params = getattr(kind, "__dataclass_params__", None)
    return params is not None and params.frozen


def _codes(code: CodeType) -> Iterable[CodeType]:
    yield code
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _codes(constant)


def _leaves_nothing(code: CodeType) -> bool:
    used = set(code.co_code[::2])
    if used & (_GLOBAL_STORES | _ATTRIBUTE_STORES) or (code.co_freevars and used & _CELL_STORES):
        return False
    return _WAYS_ROUND.isdisjoint(code.co_names)
