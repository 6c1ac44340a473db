"""Data for RDDs whose partitions the test knows, and comparison of results whose order is not promised."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rddlite import RDD, Context

Parts = list[list[Any]]

ints = st.integers(-20, 20)
keys = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.text("ab", max_size=2),
    st.binary(max_size=1),
    st.sampled_from([0.5, -2.0, float("inf")]),
    st.tuples(st.integers(0, 1), st.none() | st.text("a", max_size=1)),
    st.frozensets(st.integers(0, 2), max_size=2),
)
words = st.text("abc", min_size=1, max_size=3)
pairs = st.tuples(keys, ints)
counts = st.integers(1, 6)


def parts_of(records: st.SearchStrategy[Any], max_partitions: int = 5) -> st.SearchStrategy[Parts]:
    """Partitions of any sizes, empty ones and none at all included."""
    return st.lists(st.lists(records, max_size=8), max_size=max_partitions)


def rdd_of(sc: Context, parts: Parts) -> RDD[Any]:
    """An RDD of exactly these partitions."""
    return sc.parallelize(parts, len(parts)).flatMap(list) if parts else sc.emptyRDD()


def flat(parts: Parts) -> list[Any]:
    """All records, in order."""
    return [record for part in parts for record in part]


def bag(records: Iterable[Any]) -> Counter[Any]:
    """What two results share if only the order differs. (1, 1.0 and True are one key, as in every dict.)"""
    return Counter(records)


def groups(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    """The values of each key, in order."""
    found: dict[Any, list[Any]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def layout(rdd: RDD[Any]) -> Parts:
    """What each partition holds."""
    return rdd.glom().collect()


def jobs_run_by(sc: Context, call: Any) -> list[int]:
    """How many result tasks each job had that `call()` ran."""
    before = {job.id for job in sc.jobs()}
    call()
    return [next(s.tasks for s in job.stages if s.kind == "result") for job in sc.jobs() if job.id not in before]


def sample_stream(seed: int, index: int) -> random.Random:
    """The random numbers that decide of a partition's records in a sample, as PySpark draws them."""
    stream = random.Random(seed ^ index)
    for _ in range(10):
        stream.randint(0, 1)
    return stream


def copies_in_a_sample(stream: random.Random, mean: float) -> int:
    """How often a record comes in a sample with replacement: Knuth's way to a Poisson distribution."""
    limit, product, n = math.exp(-mean), stream.random(), 0
    while product > limit:
        n += 1
        product *= stream.random()
    return n
