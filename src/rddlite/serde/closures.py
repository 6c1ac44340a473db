"""Functions, and objects of classes that cannot be imported elsewhere, to bytes and back.

The single importer of cloudpickle. What can be imported by module and name is pickled by reference (a few
microseconds); functions and classes of `__main__`, of notebooks and of other functions go by value. Success pickles
once; only failure pays for the search for its cause. Called by the driver for functions, by `records` and `failure`.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any, NewType

import cloudpickle

from rddlite.errors import NotPicklable, RddliteError
from rddlite.serde.explain import Culprit, Part, find_culprit, function_parts, root_name

_ADVICE = (
    "Create it inside the function instead of capturing it (with mapPartitions, once per partition), "
    "or give its class a __reduce__ that rebuilds it."
)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """cloudpickle, which would pickle two kinds of objects of `__main__` by a name that exists on the driver only."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is _LruCache and not _is_importable(obj):
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        if type(obj) is NewType and not _is_importable(obj):
            return NewType, (obj.__name__, obj.__supertype__)
        return super().reducer_override(obj)


_LruCache = type(functools.lru_cache(lambda: None))


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _is_importable(obj: Any) -> bool:
    module = sys.modules.get(obj.__module__)
    return obj.__module__ != "__main__" and getattr(module, obj.__qualname__, None) is obj


def cloudpickle_version() -> str:
    """Driver and executors must agree on it: what one version writes another may not read."""
    version: str = cloudpickle.__version__
    return version


def dumps(obj: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> bytes:
    """Pickle anything that can be; raises whatever pickling raises."""
    with io.BytesIO() as file:
        dump_into(file, obj, buffer_callback)
        return file.getvalue()


def dump_into(file: Any, obj: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None) -> None:
    """The same, written to something with a `write` method as it is made."""
    _Pickler(file, protocol=5, buffer_callback=buffer_callback).dump(obj)


def main_is_the_users() -> bool:
    """Whether plain pickle may refer to classes of the user's script by name, which nobody else could import. (In
    executors that module is rddlite's.)
    """
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is None or not str(spec.name).startswith("rddlite.executor")


def loads(data: Any, buffers: Iterable[Any] | None = None) -> Any:
    """What `dumps` was given; `buffers` are those that its callback kept."""
    return pickle.loads(data, buffers=buffers)


def dumps_function(f: Callable[..., Any], what: str) -> bytes:
    """Pickle a user's function. `what` names it in an error: `the function of map at job.py:12`.

    Raises:
        NotPicklable: naming the variable that cannot be pickled and the path to it.
        RddliteError: what an object in the closure raises on purpose when it is pickled (an RDD: NestedRDD).
    """
    try:
        return dumps(f)
    except MemoryError:
        raise
    except RddliteError as error:
        add_path(error, f, root_name(f), what)
        raise
    except Exception as error:
        raise not_picklable(error, f, root_name(f), what) from error


def loads_function(blob: bytes) -> Callable[..., Any]:
    """A new copy of the function: two calls share no captured object."""
    f: Callable[..., Any] = pickle.loads(blob)
    return f


def explain_unpicklable(obj: Any, root: str) -> Culprit | None:
    """What in `obj` cannot be pickled and how to get there, or None if it can. `root` begins the path."""
    return find_culprit(obj, root, dumps)


def add_path(error: RddliteError, obj: Any, root: str, what: str) -> None:
    """Tell an error that an object raised on purpose when it was pickled (an RDD: NestedRDD) how it was reached."""
    culprit = explain_unpicklable(obj, root)
    path = culprit.path if culprit is not None else root
    text = str(error.args[0]) if error.args else ""
    error.args = (f"{text} (reached through {path}, in {what})", *error.args[1:])


def not_picklable(error: Exception, obj: Any, root: str, what: str, advice: str = _ADVICE) -> NotPicklable:
    """The error to raise, from `error`, when `obj` could not be pickled."""
    culprit = explain_unpicklable(obj, root)
    if culprit is None:
        return NotPicklable(f"{what} cannot be sent to other processes: {error}")
    if culprit.too_deep:
        return NotPicklable(f"{what} cannot be sent to other processes: the {culprit.problem}: {culprit.path}")
    return NotPicklable(
        f"{what} cannot be sent to other processes: {culprit.problem}: reached through {culprit.path}. {advice}"
    )


def largest_captures(f: Callable[..., Any]) -> list[tuple[str, int]]:
    """What a function carries along, as (path, pickled bytes), the largest first. For the message when it is huge."""
    sizes = [(label, _pickled_size(part)) for label, part in _captures(f)]
    return sorted(sizes, key=lambda entry: -entry[1])


def _captures(f: Any) -> list[Part]:
    if isinstance(f, types.FunctionType):
        return function_parts(f)
    if isinstance(f, types.MethodType):
        return [("the object it is bound to", f.__self__), *_captures(f.__func__)]
    if isinstance(f, functools.partial):
        given = [*enumerate(f.args), *f.keywords.items()]
        return [*_captures(f.func), *((f"argument {name!r}", value) for name, value in given)]
    return [(f"attribute {name!r}", value) for name, value in getattr(f, "__dict__", {}).items()]


def _pickled_size(obj: Any) -> int:
    try:
        return len(dumps(obj))
    except Exception:  # measured only to explain a size: what cannot be measured counts nothing
        return 0
