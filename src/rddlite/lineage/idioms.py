"""Small functions that everybody writes, recognised by what they are rather than by what they are called.

`lambda a, b: a + b` and `operator.add` mean the same, so a loop may add without calling. A Python function is compared
by its code object with references that the running interpreter compiled: same instructions, same constants of the same
types, no names, no defaults, no closure. Whatever is not exactly that is not recognised. Called by the executor when it
plans a loop.
"""

from __future__ import annotations

import inspect
import operator
from types import CodeType, FunctionType
from typing import Any

_UNARY = {
    "identity": "x",
    "pair_one": "(x, 1)",
    "pair_none": "(x, None)",
    "first": "x[0]",
    "second": "x[1]",
    "swap": "(x[1], x[0])",
}
_BINARY = {"add": "a + b", "mul": "a * b", "left": "a", "right": "b"}
_BUILT_IN = {operator.add: "add", operator.mul: "mul", max: "max", min: "min"}

_HAS_DOCSTRING = 0x4000000  # from 3.13 on; before, the first constant is a string if and only if it is the docstring
_KIND = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


def _fingerprint(code: CodeType) -> tuple[Any, ...]:
    """What two functions without names, defaults and closures share if and only if they do the same."""
    constants = tuple((type(constant), constant) for constant in code.co_consts)
    if code.co_flags & _HAS_DOCSTRING or (constants and constants[0][0] is str):
        # Any text will do, as long as it is not mistaken for a constant that is used.
        constants = ((str, "docstring"), *constants[1:])
    counts = (code.co_argcount, code.co_kwonlyargcount, code.co_nlocals)
    return code.co_code, counts, code.co_flags & _KIND, constants


def _compiled(arguments: str, expression: str) -> list[CodeType]:
    """The forms in which a function is written: they number their constants differently."""
    scope: dict[str, Any] = {}
    exec(f"def plain({arguments}): return {expression}", scope)
    exec(f"def documented({arguments}):\n 'docstring'\n return {expression}", scope)
    exec(f"short = lambda {arguments}: {expression}", scope)
    return [scope[form].__code__ for form in ("plain", "documented", "short")]


def _references(arguments: str, idioms: dict[str, str]) -> dict[tuple[Any, ...], str]:
    return {
        _fingerprint(code): name for name, expression in idioms.items() for code in _compiled(arguments, expression)
    }


_UNARY_CODE = _references("x", _UNARY)
_BINARY_CODE = _references("a, b", _BINARY)
_LONGEST = max(len(fingerprint[0]) for fingerprint in [*_UNARY_CODE, *_BINARY_CODE])


def _lookup(function: FunctionType, references: dict[tuple[Any, ...], str]) -> str | None:
    code = function.__code__
    if code.co_names or code.co_freevars or code.co_cellvars or function.__defaults__ or function.__kwdefaults__:
        return None
    if len(code.co_code) > _LONGEST:
        return None
    return references.get(_fingerprint(code))


def unary(function: Any) -> str | None:
    """What a function of one record is, if it is one of these.

    `identity`, `pair_one` (`(x, 1)`), `pair_none` (`(x, None)`), `first` (`x[0]`), `second` (`x[1]`), `swap`
    (`(x[1], x[0])`).
    """
    if type(function) is FunctionType:
        return _lookup(function, _UNARY_CODE)
    if type(function) is operator.itemgetter:
        items = function.__reduce__()[1]
        if len(items) == 1 and type(items[0]) is int and items[0] in (0, 1):
            return ("first", "second")[items[0]]
    return None


def binary(function: Any) -> str | None:
    """What a function that merges two values is, if it is one of these.

    `add`, `mul`, `max` (the second only if it is greater), `min` (the second only if it is smaller), `left` (the first
    argument), `right` (the second).
    """
    if type(function) is FunctionType:
        return _lookup(function, _BINARY_CODE)
    if type(function) is type(max):
        return _BUILT_IN.get(function)
    return None
