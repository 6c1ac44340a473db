"""Finds what in an object cannot be pickled, and how to get there.

Works by trial: a part that cannot be pickled is searched for parts of its own that cannot, until one has none. It runs
only after pickling has failed, so it may take its time (bounded by a number of trials). Never raises.
Called by `closures`, which lends it the pickling function.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rddlite.serde.shortrepr import short_repr, type_name

Dumps = Callable[[Any], Any]
Part = tuple[str, Any]

_MOST_TRIALS = 3000
_MOST_STEPS = 50
_ATOMS = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), types.CodeType})


@dataclass(frozen=True)
class Culprit:
    """The smallest part found that cannot be pickled, and the steps that lead to it from the whole."""

    steps: tuple[str, ...]
    type_name: str
    error: Exception
    too_deep: bool = False

    @property
    def path(self) -> str:
        return " -> ".join(self.steps)

    @property
    def problem(self) -> str:
        if self.too_deep:
            return f"{self.type_name} object is nested too deeply to be pickled"
        if isinstance(self.error, (TypeError, AttributeError, pickle.PicklingError)):
            return f"cannot pickle {self.type_name!r} object"
        return f"cannot pickle {self.type_name!r} object ({type_name(type(self.error))}: {self.error})"


def find_culprit(obj: Any, root: str, dumps: Dumps) -> Culprit | None:
    """The part of `obj` that `dumps` refuses, or None if it takes the whole. `root` is the first step of the path."""
    return _Search(dumps).run(obj, root)


class _Search:
    """One search. Parts that were tried are kept alive, so that their ids stay theirs."""

    def __init__(self, dumps: Dumps) -> None:
        self._dumps = dumps
        self._trials = 0
        self._entered: dict[int, Any] = {}

    def run(self, obj: Any, root: str) -> Culprit | None:
        error = self._error_of(obj)
        if error is None:
            return None
        too_deep = _is_recursion(error)
        steps, part = self._descend(obj, (root,), too_deep) or ((root,), obj)
        own_error = self._error_of(part) or error
        return Culprit(steps, type_name(type(part)), own_error, too_deep)

    def _descend(self, obj: Any, steps: tuple[str, ...], too_deep: bool) -> tuple[tuple[str, ...], Any] | None:
        """The culprit below `obj` (which fails), or None where it fails only through what was entered before."""
        self._entered[id(obj)] = obj
        if len(steps) > _MOST_STEPS or (too_deep and not _is_function(obj)):
            return steps, obj  # every level of a deep structure fails: naming the structure says more than a level
        has_failing_part = False
        for label, part in self._failing(_parts(obj)):
            has_failing_part = True
            if id(part) in self._entered:
                continue
            found = self._descend(part, (*steps, label), too_deep)
            if found is not None:
                return found
        return None if has_failing_part else (steps, obj)

    def _failing(self, parts: list[Part]) -> Iterator[Part]:
        """Those of `parts` that fail, found by halving: most parts of a large container are fine."""
        if not parts or self._error_of([part for _, part in parts]) is None:
            return
        if len(parts) == 1:
            yield parts[0]
            return
        middle = len(parts) // 2
        yield from self._failing(parts[:middle])
        yield from self._failing(parts[middle:])

    def _error_of(self, obj: Any) -> Exception | None:
        self._trials += 1
        if self._trials > _MOST_TRIALS:
            return None
        try:
            self._dumps(obj)
        except Exception as error:  # the error is the answer
            return error
        return None


def _is_recursion(error: BaseException) -> bool:
    return isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError)


def _is_function(obj: Any) -> bool:
    return isinstance(obj, (types.FunctionType, types.MethodType, functools.partial))


def root_name(obj: Any) -> str:
    """How the first step of a path names a callable: `parse()`, or where the lambda stands."""
    if isinstance(obj, functools.partial):
        return f"partial of {root_name(obj.func)}"
    code = getattr(obj, "__code__", None)
    name = getattr(obj, "__qualname__", None)
    if not isinstance(name, str):
        return f"{type_name(type(obj))} object"
    name = name.rpartition("<locals>.")[2]
    if name == "<lambda>" and isinstance(code, types.CodeType):
        return f"lambda at {code.co_filename}:{code.co_firstlineno}"
    return f"{name}()"


def _parts(obj: Any) -> list[Part]:
    """What pickling `obj` would pickle, each with the step that leads to it."""
    try:
        parts = _all_parts(obj)
    except Exception:  # an object that cannot tell its parts is the culprit itself
        return []
    return [(label, part) for label, part in parts if type(part) not in _ATOMS]


def _all_parts(obj: Any) -> list[Part]:
    if isinstance(obj, types.FunctionType):
        return function_parts(obj)
    if isinstance(obj, types.MethodType):
        return [("the object it is bound to", obj.__self__), ("its function", obj.__func__)]
    if isinstance(obj, functools.partial):
        return _partial_parts(obj)
    if isinstance(obj, (staticmethod, classmethod)):
        return [("its function", obj.__func__)]
    if isinstance(obj, property):
        return [("getter", obj.fget), ("setter", obj.fset), ("deleter", obj.fdel)]
    if isinstance(obj, type):
        return [(f"base class {base.__qualname__}", base) for base in obj.__bases__] + [
            (f"class attribute {name!r}", value) for name, value in vars(obj).items() if not _is_slot(value)
        ]
    if type(obj) is dict:
        keys: list[Part] = [(f"key {short_repr(key)}", key) for key in obj]
        return keys + [(f"[{short_repr(key)}]", value) for key, value in obj.items()]
    if type(obj) in (list, tuple):
        return [(f"[{index}]", item) for index, item in enumerate(obj)]
    if type(obj) in (set, frozenset):
        return [("an element", item) for item in obj]
    return _reduced_parts(obj)


def _is_slot(value: Any) -> bool:
    return isinstance(value, (types.GetSetDescriptorType, types.MemberDescriptorType))


def function_parts(function: types.FunctionType) -> list[Part]:
    """What a function carries along: closure variables, the globals that it uses, defaults and attributes."""
    parts: list[Part] = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        with contextlib.suppress(ValueError):  # an empty cell: the variable is not assigned yet
            parts.append((f"closure variable {name!r}", cell.cell_contents))
    names = _global_names(function.__code__)
    parts += [(f"global {name!r}", function.__globals__[name]) for name in names if name in function.__globals__]
    positional = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    parts += [
        (f"default of parameter {name!r}", value)
        for name, value in zip(positional[len(positional) - len(defaults) :], defaults, strict=False)
    ]
    parts += [(f"default of parameter {name!r}", value) for name, value in (function.__kwdefaults__ or {}).items()]
    parts += [(f"attribute {name!r}", value) for name, value in vars(function).items()]
    parts += [(f"annotation of {name!r}", value) for name, value in function.__annotations__.items()]
    return parts


def _global_names(code: types.CodeType) -> list[str]:
    """Names that the code, or code nested in it, may look up in its globals; in order, each once."""
    names = dict.fromkeys(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names.update(dict.fromkeys(_global_names(const)))
    return list(names)


def _partial_parts(obj: functools.partial[Any]) -> list[Part]:
    parts: list[Part] = [(root_name(obj.func), obj.func)]
    parts += [(f"argument {index}", value) for index, value in enumerate(obj.args)]
    return parts + [(f"argument {name!r}", value) for name, value in obj.keywords.items()]


def _reduced_parts(obj: Any) -> list[Part]:
    """The parts of an instance: what its own `__reduce_ex__` hands to pickle."""
    reduced: Any = obj.__reduce_ex__(5)
    if not isinstance(reduced, tuple):
        return []
    function, arguments = reduced[:2]
    state, items, pairs = (*reduced[2:5], None, None, None)[:3]
    fields = getattr(obj, "_fields", ())
    parts = _state_parts(state)
    for index, value in enumerate(arguments or ()):
        is_field = isinstance(fields, tuple) and 0 < index <= len(fields)
        label = f"field {fields[index - 1]!r}" if is_field else "what it is rebuilt from"
        parts.append(("its class", value) if value is type(obj) else (label, value))
    parts += [(f"[{index}]", value) for index, value in enumerate(items or ())]
    for key, value in pairs or ():
        parts += [(f"key {short_repr(key)}", key), (f"[{short_repr(key)}]", value)]
    return [*parts, ("its constructor", function)]


def _state_parts(state: Any) -> list[Part]:
    if isinstance(state, dict):
        return [
            (f"attribute {name!s}" if not isinstance(name, str) else f"attribute {name!r}", value)
            for name, value in state.items()
        ]
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        return _state_parts(state[0]) + _state_parts(state[1])
    return [] if state is None else [("its state", state)]
