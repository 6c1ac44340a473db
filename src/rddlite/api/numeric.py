"""Actions on numbers, and the smallest and largest record."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

from rddlite.api.actions import _reduced
from rddlite.api.arguments import check_callable, own_function
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Apply

T = TypeVar("T")


class Numeric(Handle[T_co]):
    """The mixin of `RDD` for numbers."""

    __slots__ = ()

    @overload
    def sum(self: Handle[int]) -> int: ...
    @overload
    def sum(self: Handle[float]) -> float: ...
    @overload
    def sum(self: Handle[Any]) -> Any: ...
    def sum(self: Handle[Any]) -> Any:
        """The sum of all records; 0 if there are none.

        Raises:
            JobFailed: if the job fails.

        >>> sc.parallelize([1.0, 2.0, 3.0]).sum()
        6.0
        """
        site = call_site("sum")
        return sum(self._run(Apply(own_function(sum, site)), site))

    def mean(self: Handle[Any]) -> Any:
        """The mean of all records; 0.0 if the partitions hold none.

        Raises:
            ValueError: if there is no partition.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2, 3, 6]).mean()
        3.0
        """
        site = call_site("mean")
        parts = self._run(Apply(own_function(taskside.sum_and_count, site)), site)
        if not parts:
            raise ValueError("mean: the RDD has no partitions")
        n = sum(part[1] for part in parts)
        return sum(part[0] for part in parts if part[1]) / n if n else 0.0

    def max(self: Handle[T], key: Callable[[T], Any] | None = None) -> T:
        """The largest record (by `key(x)` where given), the first of several.

        Raises:
            TypeError: if `key` cannot be called.
            ValueError: if there is no record.
            JobFailed: if the job fails.

        >>> sc.parallelize([1.0, 5.0, 43.0, 10.0]).max()
        43.0
        """
        return _extreme(self, key, call_site("max"), taskside.maximum, max)

    def min(self: Handle[T], key: Callable[[T], Any] | None = None) -> T:
        """The smallest record (by `key(x)` where given), the first of several.

        Raises:
            TypeError: if `key` cannot be called.
            ValueError: if there is no record.
            JobFailed: if the job fails.

        >>> sc.parallelize(["ccc", "a", "bb"]).min(key=len)
        'a'
        """
        return _extreme(self, key, call_site("min"), taskside.minimum, min)


def _extreme(
    handle: Handle[T],
    key: Callable[[T], Any] | None,
    site: CallSite,
    of_partition: Callable[..., list[T]],
    of_two: Callable[..., T],
) -> T:
    if key is not None:
        check_callable(key, site, "key")
    parts: list[list[T]] = handle._run(Apply(own_function(functools.partial(of_partition, key), site, key)), site)
    return _reduced(functools.partial(of_two, key=key), parts, site)
