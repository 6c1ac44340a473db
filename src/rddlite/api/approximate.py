"""Answers that are near enough: sums and counts of what is done in time, and counts of distinct records."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rddlite.api.arguments import number, own_function
from rddlite.api.handle import Handle, T_co
from rddlite.base.bounded import BoundedFloat, estimated_mean, estimated_sum
from rddlite.base.callsite import CallSite, call_site
from rddlite.base.hyperloglog import DistinctCount, precision_for
from rddlite.base.statcounter import StatCounter
from rddlite.base.tallies import statistics_of
from rddlite.lineage import taskside
from rddlite.lineage.consumers import Apply, Consumer, Count

_LEAST_DEVIATION = 0.000017
_MS = 1000.0


class Approximate(Handle[T_co]):
    """The mixin of `RDD` for approximate answers.

    Those with a `timeout` run a job for so many milliseconds, cancel what is not done by then, and estimate from the
    partitions that are there. With the master `inline` all partitions are always computed.
    """

    __slots__ = ()

    def countApprox(self, timeout: float, confidence: float = 0.95) -> int:
        """About how many records there are, after `timeout` milliseconds; exact if all partitions are done by then.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.range(1000).countApprox(10_000)
        1000
        """
        site = call_site("countApprox")
        seconds, wanted = _limits(timeout, confidence, site)
        parts = self._run_for(seconds, Count(), site)
        done = [float(value) for part in parts for value in part]
        return int(estimated_sum(StatCounter(done), len(done), len(parts), wanted))

    def sumApprox(self: Handle[Any], timeout: float, confidence: float = 0.95) -> BoundedFloat:
        """About the sum of all records, after `timeout` milliseconds; exact if all partitions are done by then.

        Returns a float that also has `low` and `high`: the sum is between them with probability `confidence`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.range(10).sumApprox(10_000)
        45.0
        """
        site = call_site("sumApprox")
        return _estimated(self, timeout, confidence, site, estimated_sum)

    def meanApprox(self: Handle[Any], timeout: float, confidence: float = 0.95) -> BoundedFloat:
        """About the mean of all records, after `timeout` milliseconds; exact if all partitions are done by then.

        Returns a float that also has `low` and `high`: the mean is between them with probability `confidence`.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails.

        >>> sc.range(10).meanApprox(10_000)
        4.5
        """
        site = call_site("meanApprox")
        return _estimated(self, timeout, confidence, site, estimated_mean)

    def countApproxDistinct(self, relativeSD: float = 0.05) -> int:
        """About how many different records there are, by HyperLogLog: in little memory, without a shuffle.

        Args:
            relativeSD: the standard deviation of the answer relative to it. Up to 1024 come out exact.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if the job fails, for instance because a record is not hashable.

        >>> sc.range(1000).map(lambda x: x % 20).countApproxDistinct()
        20
        """
        site = call_site("countApproxDistinct")
        deviation = number(relativeSD, site, "relativeSD")
        if not _LEAST_DEVIATION <= deviation < 1:
            raise ValueError(f"countApproxDistinct: relativeSD must be {_LEAST_DEVIATION} to 1, not {deviation}")
        precision = precision_for(deviation)
        sketch = own_function(functools.partial(taskside.distinct_of, precision), site)
        merged = DistinctCount(precision)
        for part in self._run(Apply(sketch), site):
            merged.merge(part)
        return merged.estimate()


def _limits(timeout: float, confidence: float, site: CallSite) -> tuple[float, float]:
    """The time in seconds, and the confidence."""
    milliseconds, wanted = number(timeout, site, "timeout"), number(confidence, site, "confidence")
    if not milliseconds >= 0:
        raise ValueError(f"{site.method}: timeout must be 0 or more milliseconds, not {milliseconds}")
    if not 0 <= wanted <= 1:
        raise ValueError(f"{site.method}: confidence must be from 0 to 1, not {wanted}")
    return milliseconds / _MS, wanted


def _estimated(
    handle: Handle[Any],
    timeout: float,
    confidence: float,
    site: CallSite,
    estimate: Callable[[StatCounter, int, int, float], BoundedFloat],
) -> BoundedFloat:
    seconds, wanted = _limits(timeout, confidence, site)
    consumer: Consumer = Apply(own_function(statistics_of, site))
    parts = handle._run_for(seconds, consumer, site)
    done = [counter for part in parts for counter in part]
    seen = functools.reduce(StatCounter.mergeStats, done, StatCounter())
    return estimate(seen, len(done), len(parts), wanted)
