"""Checks of what users hand to the API, at the call: a wrong argument never travels to a task first.

Wrong types are TypeErrors and wrong values ValueErrors; both name the method, the parameter and what came.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.ops import UserFunction
from rddlite.serde.closures import dumps, not_picklable

MOST_PARTITIONS = 10_000_000
"""More would take gigabytes of the driver's memory before the first task."""


def user_function(f: Callable[..., Any], site: CallSite, parameter: str = "f") -> UserFunction:
    """The function, wrapped for lineage.

    Raises:
        TypeError: if it cannot be called.
    """
    check_callable(f, site, parameter)
    return UserFunction(f, site)


def own_function(f: Callable[..., Any], site: CallSite, user: Callable[..., Any] | None = None) -> UserFunction:
    """A function of rddlite's own; messages call it by the name of the user's function inside it, if there is one."""
    wrapped = UserFunction(f, site)
    wrapped.name = getattr(user, "__qualname__", None) or site.method
    return wrapped


def check_callable(f: Any, site: CallSite, parameter: str = "f") -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: if so.
    """
    if not callable(f):
        raise TypeError(f"{site.method}: {parameter} must be a function, not {_shown(f)}")


def count(n: Any, site: CallSite, parameter: str, least: int) -> int:
    """The whole number that was given.

    Raises:
        TypeError: if it is none (True and 2.0 are none).
        ValueError: if it is less than `least`.
    """
    number = integer(n, site, parameter)
    if number < least:
        raise ValueError(f"{site.method}: {parameter} must be {least} or more, not {number}")
    return number


def partitions(n: Any, site: CallSite, parameter: str = "numPartitions") -> int:
    """The number of partitions that was given.

    Raises:
        TypeError: if it is no whole number.
        ValueError: if it is less than 1, or more than any machine could schedule.
    """
    number = count(n, site, parameter, 1)
    if number > MOST_PARTITIONS:
        raise ValueError(f"{site.method}: {parameter} must be {MOST_PARTITIONS:,} or less, not {number:,}")
    return number


def integer(n: Any, site: CallSite, parameter: str) -> int:
    """The whole number that was given, of any size and sign.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(n, bool):
        raise TypeError(f"{site.method}: {parameter} must be an int, not {n}")
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(f"{site.method}: {parameter} must be an int, not {_shown(n)}") from None


def number(value: Any, site: CallSite, parameter: str) -> float:
    """The number that was given, as a float.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise TypeError(f"{site.method}: {parameter} must be a number, not {_shown(value)}")
    return float(value)


def text(value: Any, site: CallSite, parameter: str) -> str:
    """The string that was given.

    Raises:
        TypeError: if it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{site.method}: {parameter} must be a str, not {_shown(value)}")
    return value


def pickled_zero(zero: Any, site: CallSite, parameter: str = "zeroValue") -> bytes:
    """The zero value in pickled form: whoever needs one unpickles a copy of its own.

    Raises:
        NotPicklable: if it cannot be pickled.
    """
    try:
        return dumps(zero)
    except Exception as error:
        raise not_picklable(error, zero, parameter, f"{parameter} of {site}") from error


def _shown(value: Any) -> str:
    shown = repr(value)
    kind = type(value).__qualname__
    return kind if value is None or len(shown) > 60 else f"{kind} {shown}"
