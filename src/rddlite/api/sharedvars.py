"""Variables that driver and tasks share: accumulators, which tasks add to."""

from __future__ import annotations

from typing import Any, TypeVar

from rddlite.api.session import Session
from rddlite.base.callsite import call_site
from rddlite.shared.accumulator import (
    COMPLEX_ACCUMULATOR_PARAM,
    FLOAT_ACCUMULATOR_PARAM,
    INT_ACCUMULATOR_PARAM,
    Accumulator,
    AccumulatorParam,
    next_accumulator_id,
)

T = TypeVar("T")


class SharedVariables(Session):
    """The mixin of `Context` for what outlives a task."""

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
