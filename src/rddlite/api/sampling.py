"""Random samples of RDDs. A seed is chosen at the call, so that an RDD has the same records at every job over it."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from rddlite.api.arguments import count, integer, number, own_function
from rddlite.api.handle import Handle, T_co
from rddlite.base import samplers
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage.consumers import Collect, Count
from rddlite.lineage.ops import MapPartitions

if TYPE_CHECKING:
    from rddlite.api.rdd import RDD

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_LARGEST_SEED = 2**63 - 1


class Sampling(Handle[T_co]):
    """The mixin of `RDD` for samples."""

    __slots__ = ()

    def sample(self, withReplacement: bool, fraction: float, seed: int | None = None) -> RDD[T_co]:
        """Some of the records, in their order. Keeps the partitioner.

        Args:
            withReplacement: whether a record can be taken several times.
            fraction: the probability of each record; with replacement, how often each is taken on average.
            seed: the same seed gives the same records, those that PySpark gives; without one, it is chosen now.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.

        >>> numbers = sc.range(100, numSlices=4)
        >>> numbers.sample(False, 0.1, seed=7).count() < 30
        True
        >>> sample = numbers.sample(True, 0.5)
        >>> sample.collect() == sample.collect()
        True
        """
        site = call_site("sample")
        part = number(fraction, site, "fraction")
        if not 0 <= part < math.inf:
            raise ValueError(f"sample: fraction must be a finite number, 0 or more, not {part}")
        sampler = samplers.repeated if withReplacement else samplers.below
        return _sampled(self, functools.partial(sampler, part), seed, site)

    def randomSplit(self: Handle[T], weights: Sequence[float], seed: int | None = None) -> list[RDD[T]]:
        """Several RDDs that together have each record once, chosen at random.

        Args:
            weights: how large each of them is to be, relative to the others.
            seed: the same seed gives the same records.

        Raises:
            TypeError: for arguments of the wrong kind.
            ValueError: for negative weights, or if there is none above 0.

        >>> large, small = sc.range(100).randomSplit([3, 1], seed=5)
        >>> sorted(large.collect() + small.collect()) == list(range(100))
        True
        """
        site = call_site("randomSplit")
        shares = [number(weight, site, "weights") for weight in weights]
        if any(share < 0 for share in shares):
            raise ValueError(f"randomSplit: weights must be 0 or more, not {min(shares)}")
        total = sum(shares)
        if not 0 < total < math.inf:
            raise ValueError("randomSplit: the sum of the weights must be above 0")
        chosen = _seed(seed, site)
        bounds = [0.0, *accumulate(share / total for share in shares)]
        last = max(i for i, share in enumerate(shares) if share > 0)
        bounds[last + 1 :] = [1.0] * (len(bounds) - last - 1)  # sums of fractions may miss it by a little
        return [
            _sampled(self, functools.partial(samplers.between, low, high), chosen, site)
            for low, high in pairwise(bounds)
        ]

    def takeSample(self: Handle[T], withReplacement: bool, num: int, seed: int | None = None) -> list[T]:
        """A list of `num` records chosen at random, in random order; all if there are fewer. Counts the records first.

        Args:
            withReplacement: whether a record can be taken several times.
            num: how many.
            seed: the same seed gives the same records.

        Raises:
            TypeError, ValueError: for arguments of the wrong kind or size.
            JobFailed: if a job fails.

        >>> len(sc.range(100).takeSample(False, 5, seed=1)), len(sc.range(3).takeSample(True, 5))
        (5, 5)
        """
        site = call_site("takeSample")
        wanted = count(num, site, "num", 0)
        if wanted == 0:
            return []
        total = sum(self._run(Count(), site))
        if total == 0:
            return []
        stream = random.Random(seed if seed is None else integer(seed, site, "seed"))
        records: list[T]
        if not withReplacement and wanted >= total:
            records = _collected(self, site)
            stream.shuffle(records)
            return records
        fraction = samplers.fraction_for(wanted, total, bool(withReplacement))
        sampler = functools.partial(samplers.repeated if withReplacement else samplers.below, fraction)
        records = _collected(_sampled(self, sampler, seed, site), site)
        while len(records) < wanted:
            records = _collected(_sampled(self, sampler, stream.randint(0, _LARGEST_SEED), site), site)
        stream.shuffle(records)
        return records[:wanted]

    def sampleByKey(
        self: Handle[tuple[K, V]], withReplacement: bool, fractions: Mapping[K, float], seed: int | None = None
    ) -> RDD[tuple[K, V]]:
        """Some of the pairs of each key. Keeps the partitioner.

        Args:
            withReplacement: whether a pair can be taken several times.
            fractions: the probability of each key's pairs; a key without one fails the job with a KeyError.
            seed: the same seed gives the same pairs.

        Raises:
            TypeError: for arguments of the wrong kind.
            AssertionError: for a negative fraction.

        >>> pairs = sc.range(1000).map(lambda x: (x % 2, x))
        >>> counts = pairs.sampleByKey(False, {0: 0.1, 1: 0.9}, seed=3).countByKey()
        >>> counts[0] < 100 and counts[1] > 400
        True
        """
        site = call_site("sampleByKey")
        if not isinstance(fractions, Mapping):
            raise TypeError(f"sampleByKey: fractions must be a dict, not {type(fractions).__qualname__}")
        means = {key: number(value, site, "fractions") for key, value in fractions.items()}
        for key, value in means.items():
            if not value >= 0:
                raise AssertionError(f"sampleByKey: the fraction of {key!r} must be 0 or more, not {value}")
        sampler = samplers.repeated_by_key if withReplacement else samplers.below_by_key
        return _sampled(self, functools.partial(sampler, means), seed, site)


def _seed(seed: int | None, site: CallSite) -> int:
    return random.randint(0, _LARGEST_SEED) if seed is None else integer(seed, site, "seed")


def _sampled(handle: Handle[Any], sampler: Callable[..., Any], seed: int | None, site: CallSite) -> RDD[Any]:
    function = own_function(functools.partial(sampler, _seed(seed, site)), site)
    return handle._pipe(site, MapPartitions(function, with_index=True), True)


def _collected(handle: Handle[Any], site: CallSite) -> list[Any]:
    return [record for part in handle._run(Collect(), site) for record in part]
