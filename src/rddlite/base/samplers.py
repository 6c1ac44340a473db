"""Samples of one partition, with PySpark's streams of random numbers: the same seed, the same records.

Functions that run inside tasks: each gets the index of the partition and an iterator, and gives an iterator. A record
costs one draw, whether it is taken or not, so that neighbouring ranges of [0, 1) share no record and leave none out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, compress
from random import Random
from typing import Any

from rddlite.base.sampling import generator

_MOST_MULTIPLIED = 20.0
_DRAW, _TOP, _TOPS = 8, 3, 256
_FIRST_DRAWS, _MOST_DRAWS = 64, 4096
_OPEN = 2


def below(fraction: float, seed: int, index: int, records: Iterable[Any]) -> Iterator[Any]:
    """Each record with probability `fraction`."""
    return between(0.0, fraction, seed, index, records)


def between(low: float, high: float, seed: int, index: int, records: Iterable[Any]) -> Iterator[Any]:
    """The records whose draw is in `[low, high)`."""
    return compress(records, selectors(low, high, seed, index))


def selectors(low: float, high: float, seed: int, index: int) -> Iterator[int]:
    """For each record of a partition whether its draw is in `[low, high)`: what is not 0 says yes."""
    return chain.from_iterable(_selected(low, high, generator(seed, index)))


def _selected(low: float, high: float, stream: Random) -> Iterator[bytes | bytearray]:
    """Many draws at a time. Each takes eight bytes of the stream, the fourth of which has its first binary digits: they
    decide, but for what begins like one of the bounds.
    """
    table = bytes(_decided(top / _TOPS, (top + 1) / _TOPS, low, high) for top in range(_TOPS))
    n = _FIRST_DRAWS
    while True:
        block = stream.randbytes(_DRAW * n)
        chosen = bytearray(block[_TOP::_DRAW].translate(table))
        at = chosen.find(_OPEN)
        while at >= 0:
            chosen[at] = low <= _drawn(block[_DRAW * at : _DRAW * at + _DRAW]) < high
            at = chosen.find(_OPEN, at + 1)
        yield chosen
        n = min(2 * n, _MOST_DRAWS)


def _decided(least: float, end: float, low: float, high: float) -> int:
    """Whether all numbers from `least` up to `end` are in `[low, high)`, or only some of them."""
    if low <= least and end <= high:
        return 1
    return 0 if end <= low or high <= least else _OPEN


def _drawn(draw: bytes) -> float:
    """What `Random.random` makes of these eight bytes: 53 of their bits."""
    first, second = int.from_bytes(draw[:4], "little") >> 5, int.from_bytes(draw[4:], "little") >> 6
    return ((first << 26) + second) / (1 << 53)


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
