"""Estimates of sums from the partitions that were there in time, with what they are between, and BoundedFloat.

Pure arithmetic: the rows of the sum are taken for a sample, the partitions that are there for a share of all.
"""

from __future__ import annotations

import math

from rddlite.base.statcounter import StatCounter


class BoundedFloat(float):
    """An estimate: a float that also knows what it is between, and how surely.

    >>> estimate = BoundedFloat(100.0, 0.95, 95.0, 105.0)
    >>> estimate, estimate.low, estimate.high, estimate.confidence
    (100.0, 95.0, 105.0, 0.95)
    """

    confidence: float
    low: float
    high: float

    def __new__(cls, mean: float, confidence: float, low: float, high: float) -> BoundedFloat:
        made = super().__new__(cls, mean)
        made.confidence, made.low, made.high = confidence, low, high
        return made

    def __reduce__(self) -> tuple[type[BoundedFloat], tuple[float, float, float, float]]:
        return (BoundedFloat, (float(self), self.confidence, self.low, self.high))


def estimated_sum(seen: StatCounter, done: int, total: int, confidence: float) -> BoundedFloat:
    """The sum of all numbers, `done` of `total` partitions of which were seen."""
    if done == total:
        return _exact(float(seen.sum()), confidence)
    if seen.n == 0:
        return BoundedFloat(0.0, confidence, -math.inf, math.inf)
    share = done / total
    mean, n = seen.mean(), (seen.n + 1 - share) / share
    n_variance = (seen.n + 1) * (1 - share) / (share * share)
    mean_variance = seen.sampleVariance() / seen.n
    variance = mean * mean * n_variance + n * n * mean_variance + mean_variance * n_variance
    return _around(mean * n, variance, seen.n, confidence)


def estimated_mean(seen: StatCounter, done: int, total: int, confidence: float) -> BoundedFloat:
    """The mean of all numbers, `done` of `total` partitions of which were seen."""
    if done == total:
        return _exact(float(seen.mean()), confidence)
    if seen.n == 0:
        return BoundedFloat(0.0, confidence, -math.inf, math.inf)
    return _around(seen.mean(), seen.sampleVariance() / seen.n, seen.n, confidence)


def _exact(value: float, confidence: float) -> BoundedFloat:
    return BoundedFloat(value, confidence, value, value)


def _around(value: float, variance: float, n: int, confidence: float) -> BoundedFloat:
    if math.isnan(variance):  # of a single number nothing is known
        return BoundedFloat(value, confidence, -math.inf, math.inf)
    half = _student(1 - (1 - confidence) / 2, n - 1) * math.sqrt(variance)
    return BoundedFloat(value, confidence, value - half, value + half)


def _student(p: float, freedom: int) -> float:
    """The quantile of Student's distribution, by the first terms of its expansion around the normal one."""
    if p >= 1:
        return math.inf
    from statistics import NormalDist  # takes as long to import as the scheduler

    z = NormalDist().inv_cdf(p)
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + first + second
