"""Statistics of numbers: variance and its kin, histograms. One pass over the data each."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from rddlite.api.arguments import own_function
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.base.statcounter import StatCounter
from rddlite.base.tallies import bucket_counts, smallest_and_largest, statistics_of
from rddlite.lineage.consumers import Apply

T = TypeVar("T")


class Statistics(Handle[T_co]):
    """The mixin of `RDD` for statistics."""

    __slots__ = ()

    def stats(self: Handle[Any]) -> StatCounter:
        """Count, mean, variance, smallest and largest of all records, as a `StatCounter`.

        Without any record the mean is 0.0 and the variance NaN.

        Raises:
            ValueError: if there is no partition.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2, 3, 4]).stats()
        (count: 4, mean: 2.5, stdev: 1.118033988749895, max: 4.0, min: 1.0)
        """
        return _stats(self, call_site("stats"))

    def variance(self: Handle[Any]) -> Any:
        """The variance of all records: the mean square distance from the mean. NaN if the partitions hold none.

        Raises:
            ValueError: if there is no partition.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 3]).variance()
        1.0
        """
        return _stats(self, call_site("variance")).variance()

    def stdev(self: Handle[Any]) -> Any:
        """The standard deviation of all records: the root of their variance. NaN if the partitions hold none.

        Raises:
            ValueError: if there is no partition.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 3]).stdev()
        1.0
        """
        return _stats(self, call_site("stdev")).stdev()

    def sampleVariance(self: Handle[Any]) -> Any:
        """The variance of what the records are a sample of (divided by n - 1). NaN below two records.

        Raises:
            ValueError: if there is no partition.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2, 3]).sampleVariance()
        1.0
        """
        return _stats(self, call_site("sampleVariance")).sampleVariance()

    def sampleStdev(self: Handle[Any]) -> Any:
        """The standard deviation of what the records are a sample of (divided by n - 1). NaN below two records.

        Raises:
            ValueError: if there is no partition.
            JobFailed: if the job fails.

        >>> sc.parallelize([1, 2, 3]).sampleStdev()
        1.0
        """
        return _stats(self, call_site("sampleStdev")).sampleStdev()

    def histogram(self: Handle[T], buckets: int | Sequence[T]) -> tuple[list[T], list[int]]:
        """How many records fall into each bucket, as `(bounds, counts)`.

        A bucket goes from its bound up to and without the next one; the last has its end too. None, NaN and what is
        outside of all buckets are not counted.

        Args:
            buckets: the bounds, in order; or how many buckets of equal width to make between the smallest and the
                largest record (which takes a job of its own). One bucket serves records that are no numbers as well.

        Raises:
            TypeError: if it is neither, or for several buckets of equal width of what is no number.
            ValueError: for bounds that are fewer than two, not in order, or given twice; if there is no record to make
                buckets from; or if one is infinite.
            JobFailed: if the job fails.

        >>> sc.parallelize(range(51)).histogram(2)
        ([0, 25, 50], [25, 26])
        >>> sc.parallelize(["ab", "ac", "b", "bd"]).histogram(("a", "b", "c"))
        (('a', 'b', 'c'), [2, 2])
        """
        site = call_site("histogram")
        bounds: Any
        if isinstance(buckets, int) and not isinstance(buckets, bool):
            n, bounds = _even_buckets(self, buckets, site)
            if len(bounds) == 2:
                return bounds, [n]
        elif isinstance(buckets, (list, tuple)):
            _check_bounds(buckets)
            bounds = buckets
        else:
            raise TypeError(
                f"histogram: buckets must be a number of buckets or a list of bounds, not {type(buckets).__qualname__}"
            )
        function = own_function(functools.partial(bucket_counts, bounds), site)
        parts: list[list[int]] = self._run(Apply(function), site)
        return bounds, [sum(counts) for counts in zip(*parts, strict=True)] or [0] * (len(bounds) - 1)


def _stats(handle: Handle[Any], site: CallSite) -> StatCounter:
    parts: list[StatCounter] = handle._run(Apply(own_function(statistics_of, site)), site)
    if not parts:
        raise ValueError(f"{site.method}: the RDD has no partitions")
    return functools.reduce(StatCounter.mergeStats, parts)


def _even_buckets(handle: Handle[Any], n_buckets: int, site: CallSite) -> tuple[int, list[Any]]:
    """The number of records, and the bounds of so many buckets of equal width: one if all records are equal."""
    if n_buckets < 1:
        raise ValueError(f"histogram: the number of buckets must be 1 or more, not {n_buckets}")
    parts = [part for part in handle._run(Apply(own_function(smallest_and_largest, site)), site) if part[0]]
    if not parts:
        raise ValueError("histogram: buckets cannot be made from an empty RDD")
    low, high = min(part[1] for part in parts), max(part[2] for part in parts)
    if low == high or n_buckets == 1:
        return sum(part[0] for part in parts), [low, high]
    try:
        width = (high - low) / n_buckets
        is_endless = math.isinf(width)
    except TypeError:
        raise TypeError("histogram: several buckets of equal width need records that are numbers") from None
    if is_endless:
        raise ValueError("histogram: buckets of equal width cannot be made with infinite records")
    if int(width) * n_buckets == high - low:
        width = int(width)
    return 0, [*(i * width + low for i in range(n_buckets)), high]


def _check_bounds(bounds: Sequence[Any]) -> None:
    if len(bounds) < 2:
        raise ValueError("histogram: bounds must be two or more")
    if any(bound is None or bound != bound for bound in bounds):
        raise ValueError("histogram: bounds must not be None or NaN")
    if sorted(bounds) != list(bounds):
        raise ValueError("histogram: bounds must be in order")
    if any(left == right for left, right in itertools.pairwise(bounds)):
        raise ValueError("histogram: bounds must not be given twice")
