"""What PySpark does not have, against plain Python."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite import StorageLevel
from rddlite.errors import JobFailed
from tests.api.oracle import counts, flat, groups, ints, layout, pairs, parts_of, rdd_of


@given(parts=parts_of(ints), size=st.integers(1, 5))
def test_batches(sc, parts, size):
    expected = [[part[i : i + size] for i in range(0, len(part), size)] for part in parts]
    assert layout(rdd_of(sc, parts).mapBatches(lambda batch: [batch], size)) == expected
    rdd = rdd_of(sc, parts).mapBatches(lambda batch: np.array(batch) * 2, size)
    assert rdd.collect() == [2 * x for x in flat(parts)]


def test_batches_are_made_when_they_are_needed(sc):
    seen = sc.accumulator(0)

    def look(batch):
        seen.add(len(batch))
        return batch

    assert sc.range(1000, numSlices=1).mapBatches(look, 10).take(15) == list(range(15))
    assert seen.value == 20
    placed = sc.parallelize([(1, 2)]).partitionBy(2)
    assert placed.mapBatches(list, 2).partitioner is None
    assert placed.mapBatches(list, 2, preservesPartitioning=True).partitioner == placed.partitioner


@pytest.mark.parametrize("f", [lambda batch: None, lambda batch: next(iter([])), lambda batch: 1 // 0])
def test_batches_that_fail(sc, f):
    with pytest.raises(JobFailed, match=r"mapBatches"):
        sc.range(3).mapBatches(f, 2).collect()


def test_bad_batches(sc):
    with pytest.raises(ValueError, match=r"^mapBatches: size must be 1 or more, not 0$"):
        sc.range(3).mapBatches(list, 0)
    with pytest.raises(TypeError, match=r"^mapBatches: f must be a function, not int 7$"):
        sc.range(3).mapBatches(7, 1)


@given(parts=parts_of(pairs), num=st.integers(1, 4), n=counts)
def test_top_by_key(sc, parts, num, n):
    expected = {key: sorted(values, reverse=True)[:num] for key, values in groups(flat(parts)).items()}
    tops = rdd_of(sc, parts).topByKey(num, numPartitions=n)
    assert tops.getNumPartitions() == n
    assert tops.collectAsMap() == expected
    smallest = rdd_of(sc, parts).topByKey(num, lambda x: -x)
    assert smallest.collectAsMap() == {k: sorted(vs)[:num] for k, vs in groups(flat(parts)).items()}


def test_top_by_key_of_many(sc):
    values = [(x * 7919) % 10007 for x in range(5000)]
    tops = sc.parallelize(values, 3).map(lambda x: (x % 3, x)).topByKey(20).collectAsMap()
    assert tops == {k: heapq.nlargest(20, (x for x in values if x % 3 == k)) for k in range(3)}


def test_cached_for_a_while(sc):
    rdd = sc.range(10).map(lambda x: x * x)
    with rdd.cached() as kept:
        assert kept is rdd
        assert rdd.getStorageLevel() == StorageLevel.MEMORY_ONLY
        assert rdd.sum() == 285
        with rdd.cached(StorageLevel.DISK_ONLY):
            assert rdd.getStorageLevel() == StorageLevel.MEMORY_ONLY
        assert rdd.is_cached
    assert not rdd.is_cached
    assert rdd.sum() == 285


def test_what_an_rdd_shows(sc, tmp_path):
    rdd = sc.parallelize([(1, 2)], 4).map(lambda x: x).reduceByKey(max, 2)
    assert repr(rdd).endswith(", 2 partitions, lineage of 3>")
    assert "cached: Memory Serialized 1x Replicated" in repr(rdd.cache())
    assert repr(rdd.setName("sums")).startswith("<RDD sums: reduceByKey at test_handy.py:")
    shown = rdd.setName("<b>")._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "2 partitions" in shown
    assert "partition" not in repr(sc.textFile(f"{tmp_path}/none").map(len))
    assert "2 RDDs" in repr(rdd.union(rdd.filter(bool)))
    rdd.unpersist()
