"""Record operations as data.

An operation says what happens to each record of a partition; how a chain of them becomes one loop is the business of
`executor/fuse.py`. User functions are wrapped once in a `UserFunction`, which keeps the callable on the driver and its
pickled bytes from their first use on: what the program changes afterwards does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rddlite.base.callsite import CallSite


class UserFunction:
    """A function of the user's program (or one of rddlite's own) that tasks call.

    On the driver `call` is the function and `blob` becomes its pickled form at first use. In a task it is rebuilt
    from the blob. `name` is for messages: what the user would recognise.
    """

    __slots__ = ("blob", "call", "name", "site")

    def __init__(self, call: Callable[..., Any], site: CallSite, blob: bytes | None = None) -> None:
        self.call = call
        self.site = site
        self.blob = blob
        self.name = getattr(call, "__qualname__", None) or type(call).__qualname__

    def __repr__(self) -> str:
        return f"<{self.name}, {self.site}>"


@dataclass(frozen=True, slots=True)
class Map:
    """One record out for each record in: `f(record)`."""

    f: UserFunction
    label: ClassVar[str] = "map"


@dataclass(frozen=True, slots=True)
class Filter:
    """Records for which `f(record)` is true."""

    f: UserFunction
    label: ClassVar[str] = "filter"


@dataclass(frozen=True, slots=True)
class FlatMap:
    """All items of the iterable `f(record)`."""

    f: UserFunction
    label: ClassVar[str] = "flatMap"


@dataclass(frozen=True, slots=True)
class MapValues:
    """`(k, f(v))` for each pair."""

    f: UserFunction
    label: ClassVar[str] = "mapValues"


@dataclass(frozen=True, slots=True)
class FlatMapValues:
    """`(k, x)` for each item `x` of the iterable `f(v)` of each pair."""

    f: UserFunction
    label: ClassVar[str] = "flatMapValues"


@dataclass(frozen=True, slots=True)
class KeyBy:
    """`(f(record), record)`."""

    f: UserFunction
    label: ClassVar[str] = "keyBy"


@dataclass(frozen=True, slots=True)
class Keys:
    """The first item of each pair."""

    site: CallSite | None = None
    label: ClassVar[str] = "keys"


@dataclass(frozen=True, slots=True)
class Values:
    """The second item of each pair."""

    site: CallSite | None = None
    label: ClassVar[str] = "values"


@dataclass(frozen=True, slots=True)
class MapPartitions:
    """The iterable `f(iterator over the partition)`, or `f(partition index, iterator)` with `with_index`. With
    `is_barrier` all tasks of its stage run at the same time.
    """

    f: UserFunction
    with_index: bool = False
    is_barrier: bool = False
    label: ClassVar[str] = "mapPartitions"


@dataclass(frozen=True, slots=True)
class Glom:
    """One record for the partition: the list of its records."""

    site: CallSite | None = None
    label: ClassVar[str] = "glom"


@dataclass(frozen=True, slots=True)
class JoinPairs:
    """Pairs of a two-sided cogroup `(k, (left list, right list))` to joined pairs `(k, (v, w))`.

    `how` is `inner`, `left`, `right` or `full`; a missing side is None.
    """

    how: str
    site: CallSite | None = None
    label: ClassVar[str] = "join"


Op = Map | Filter | FlatMap | MapValues | FlatMapValues | KeyBy | Keys | Values | MapPartitions | Glom | JoinPairs

ONE_FOR_ONE = (Map, MapValues, KeyBy, Keys, Values)
"""What neither drops records nor adds any."""


def describe(op: Op) -> str:
    """The operation for messages: `map(parse) at job.py:12`."""
    f: UserFunction | None = getattr(op, "f", None)
    if f is not None:
        return named(f)
    site: CallSite | None = getattr(op, "site", None)
    return op.label if site is None else str(site)


def named(f: UserFunction) -> str:
    """What the user wrote to have a function called: `map(parse) at job.py:12`."""
    if f.name == f.site.method:  # a function of rddlite's own, which the user did not name
        return str(f.site)
    return str(replace(f.site, method=f"{f.site.method}({f.name})"))
