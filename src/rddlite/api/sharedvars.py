"""Variables that driver and tasks share: broadcasts, which tasks read, and accumulators, which they add to."""

from __future__ import annotations

import functools
from typing import Any, TypeVar

from rddlite.api.rdd import RDD
from rddlite.api.session import Session
from rddlite.base.callsite import call_site
from rddlite.errors import NestedRDD
from rddlite.shared.accumulator import (
    COMPLEX_ACCUMULATOR_PARAM,
    FLOAT_ACCUMULATOR_PARAM,
    INT_ACCUMULATOR_PARAM,
    Accumulator,
    AccumulatorParam,
    next_accumulator_id,
)
from rddlite.shared.broadcast import Broadcast
from rddlite.shared.stored import write_value

T = TypeVar("T")


class SharedVariables(Session):
    """The mixin of `Context` for what outlives a task."""

    def broadcast(self, value: T) -> Broadcast[T]:
        """A value that tasks can read without carrying it: each host gets it once, each worker makes it once.

        It is pickled now, so later changes are not seen by tasks; numpy arrays are shared by the workers of a host
        without a copy, and a task that writes to one changes its worker's only.

        Raises:
            NotPicklable: naming what in the value cannot be pickled.
            NestedRDD: for an RDD: collect it first.
            DiskFull: if there is no room in the scratch directory.

        >>> table = sc.broadcast({0: "even", 1: "odd"})
        >>> sc.range(3).map(lambda x: table.value[x % 2]).collect()
        ['even', 'odd', 'even']
        """
        broadcasts = self._live_driver().broadcasts
        if isinstance(value, RDD):
            site = call_site("broadcast")
            raise NestedRDD(f"{site}: an RDD cannot be broadcast, only what is in it: broadcast its collect()")
        write = functools.partial(write_value, value=value, is_served=broadcasts.are_served)
        spec = broadcasts.add(write)
        return Broadcast(spec, value, broadcasts)

    def accumulator(self, value: T, accum_param: AccumulatorParam[T] | None = None) -> Accumulator[T]:
        """A variable that tasks add to, and that has the sum on the driver when an action returns.

        Args:
            value: what it has at first.
            accum_param: how values are added up; not needed for int, float and complex.

        Raises:
            TypeError: for a value that is no number when no `accum_param` is given, or one that cannot add.

        >>> odd = sc.accumulator(0)
        >>> def check(x):
        ...     if x % 2:
        ...         odd.add(1)
        >>> sc.range(10).foreach(check)
        >>> odd.value
        5
        """
        site = call_site("accumulator")
        self._check_usable()
        param: AccumulatorParam[Any] = _param_of(value) if accum_param is None else accum_param
        for name in ("zero", "addInPlace"):
            if not callable(getattr(param, name, None)):
                raise TypeError(f"{site}: accum_param must be an AccumulatorParam: {param!r} has no {name}()")
        return Accumulator(next_accumulator_id(), value, param, site)


def _param_of(value: Any) -> AccumulatorParam[Any]:
    if isinstance(value, int):
        return INT_ACCUMULATOR_PARAM
    if isinstance(value, float):
        return FLOAT_ACCUMULATOR_PARAM
    if isinstance(value, complex):
        return COMPLEX_ACCUMULATOR_PARAM
    raise TypeError(
        f"an accumulator of {type(value).__name__} needs to be told how its values are added up: give accum_param, an "
        "AccumulatorParam with zero() and addInPlace()"
    )
