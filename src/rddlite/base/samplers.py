"""Samples of one partition, with PySpark's streams of random numbers: the same seed, the same records.

Functions that run inside tasks: each gets the index of the partition and an iterator, and gives an iterator. A record
costs one draw, whether it is taken or not, so that neighbouring ranges of [0, 1) share no record and leave none out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress
from random import Random
from typing import Any

from rddlite.base.sampling import generator

_MOST_MULTIPLIED = 20.0


def below(fraction: float, seed: int, index: int, records: Iterable[Any]) -> Iterator[Any]:
    """Each record with probability `fraction`."""
    return compress(records, map(fraction.__gt__, iter(generator(seed, index).random, None)))


def between(low: float, high: float, seed: int, index: int, records: Iterable[Any]) -> Iterator[Any]:
    """The records whose draw is in `[low, high)`."""
    draw = generator(seed, index).random
    return (record for record in records if low <= draw() < high)


def repeated(mean: float, seed: int, index: int, records: Iterable[Any]) -> Iterator[Any]:
    """Each record as often as a Poisson distribution of that mean says."""
    stream = generator(seed, index)
    return (record for record in records for _ in range(_poisson(stream, mean)))


def below_by_key(fractions: Mapping[Any, float], seed: int, index: int, pairs: Iterable[Any]) -> Iterator[Any]:
    """Each pair with the probability of its key; KeyError for a key without one."""
    draw = generator(seed, index).random
    return ((key, value) for key, value in pairs if draw() < fractions[key])


def repeated_by_key(fractions: Mapping[Any, float], seed: int, index: int, pairs: Iterable[Any]) -> Iterator[Any]:
    """Each pair as often as a Poisson distribution of its key's mean says."""
    stream = generator(seed, index)
    return ((key, value) for key, value in pairs for _ in range(_poisson(stream, fractions[key])))


def _poisson(stream: Random, mean: float) -> int:
    """Knuth's algorithm; in logarithms where the product would become too small."""
    if mean >= _MOST_MULTIPLIED:
        return _count(lambda: stream.expovariate(mean))
    limit, product, n = math.exp(-mean), stream.random(), 0
    while product > limit:
        n += 1
        product *= stream.random()
    return n


def _count(step: Callable[[], float]) -> int:
    reached, n = step(), 0
    while reached < 1.0:
        n += 1
        reached += step()
    return n


def fraction_for(num: int, total: int, with_replacement: bool) -> float:
    """What fraction to sample so that at least `num` of `total` records come out in 9999 of 10000 cases."""
    fraction = num / total
    if with_replacement:
        deviations = 9 if num < 12 else 5
        return fraction + deviations * math.sqrt(fraction / total)
    gamma = -math.log(0.00005) / total
    return min(1.0, fraction + gamma + math.sqrt(gamma * gamma + 2 * gamma * fraction))
