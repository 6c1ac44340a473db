"""Skew is seen: the hottest keys of a shuffle, and the largest against the median partition."""

from __future__ import annotations

import pytest

from rddlite import Context

N = 8000


def skewed(sc: Context):
    """Three in four records have one key, one in eight another."""
    return sc.range(N, numSlices=4).map(lambda i: ("hot" if i % 4 else "warm" if i % 8 else f"k{i}", i))


def hottest(sc: Context, kind: str = "map"):
    return next(stage for stage in sc.jobs()[-1].stages if stage.kind == kind)


@pytest.mark.parametrize(
    "run",
    [
        lambda pairs: pairs.groupByKey(4),
        lambda pairs: pairs.partitionBy(4),
        lambda pairs: pairs.partitionBy(4, lambda key: len(str(key))),
        lambda pairs: pairs.map(lambda pair: (str(pair[0]), pair[1])).sortByKey(numPartitions=4),
        lambda pairs: pairs.map(lambda pair: (pair[1], pair[0])).sortBy(lambda pair: str(pair[1]), numPartitions=4),
    ],
    ids=["groupByKey", "partitionBy", "partitionBy with a function", "sortByKey", "sortBy"],
)
def test_the_hottest_keys_of_a_shuffle_are_told(sc, run):
    run(skewed(sc)).count()
    stage = hottest(sc)
    (hot, warm, *_) = stage.hottest_keys
    assert (hot.key, warm.key) == ("'hot'", "'warm'")
    assert hot.share == pytest.approx(0.75, abs=0.15)
    assert hot.records == pytest.approx(0.75 * N, rel=0.2)
    assert stage.is_skewed_by_key
    told = f"hottest keys of stage {stage.id}: 'hot' {hot.share:.0%}, 'warm' {warm.share:.0%}"
    assert told in sc.jobs()[-1].line()
    assert told in str(stage)


def test_both_sides_of_a_join_are_told(sc):
    skewed(sc).join(sc.parallelize([("hot", 1), ("cold", 2)], 2), 4).count()
    maps = [stage for stage in sc.jobs()[-1].stages if stage.kind == "map"]
    assert any(stage.hottest_keys and stage.hottest_keys[0].key == "'hot'" for stage in maps)


def test_keys_that_are_combined_or_even_are_not_told(sc):
    skewed(sc).reduceByKey(lambda a, b: a, 4).count()
    assert hottest(sc).hottest_keys == ()
    sc.range(N, numSlices=4).map(lambda i: (i, i)).groupByKey(4).count()
    assert hottest(sc).hottest_keys == ()
    sc.range(N, numSlices=4).repartition(3).count()
    assert hottest(sc).hottest_keys == ()
    assert "hottest" not in str(sc.jobs()[-1])


def test_the_largest_partition_is_told_in_records_bytes_and_seconds(sc):
    skewed(sc).partitionBy(4).count()
    stage = hottest(sc, "result")
    assert stage.largest_partition_records > 2 * stage.median_partition_records > 0
    assert stage.largest_partition_bytes > 2 * stage.median_partition_bytes > 0
    assert stage.slowest_seconds >= stage.median_seconds > 0
    text = str(sc.jobs()[-1])
    assert f" / {stage.median_partition_records:,} records" in text
    assert "largest / median partition" in text
    assert "slowest / median task" in text
