"""Handles make lineage and nothing else: node kinds, partitioners, flat unions. No driver, no tasks."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING, Any, cast

import pytest

from rddlite import RDD
from rddlite.base.callsite import CallSite
from rddlite.lineage.aggregator import GROUP
from rddlite.lineage.narrow import PartitionwiseUnion, Pipelined, Union
from rddlite.lineage.partitioner import FunctionPartitioner, HashPartitioner
from rddlite.lineage.sources import Range
from rddlite.lineage.wide import CoGrouped, Gathered, Shuffled

if TYPE_CHECKING:
    from rddlite import Context

SITE = CallSite("range", "job.py", 1)


class NoDriver:
    """As much of a context as handles need to be made."""

    def __init__(self, parallelism: int | None = None) -> None:
        self._ids = itertools.count()
        self._parallelism = parallelism
        self._handles: dict[int, Any] = {}

    def _next_rdd_id(self) -> int:
        return next(self._ids)

    def _check_usable(self) -> None:
        pass

    def _settle(self, node: Any) -> int:
        return int(node.n_partitions)

    def _set_parallelism(self) -> int | None:
        return self._parallelism


@pytest.fixture
def context() -> Context:
    return cast("Context", NoDriver())


def numbers(context: Context, n: int) -> RDD[int]:
    return RDD(context, Range(SITE, range(10), n))


def shuffle_of(rdd: RDD[Any]) -> Any:
    node = rdd._node
    while isinstance(node, (Pipelined, Gathered)):
        node = node.deps[0].parent
    assert isinstance(node, Shuffled)
    return node.shuffle


def test_by_key_operations_are_shuffles_with_their_aggregator(context):
    pairs = numbers(context, 4).keyBy(str)
    reduced = shuffle_of(pairs.reduceByKey(operator.add))
    assert (reduced.partitioner, reduced.combine_on_map) == (HashPartitioner(4), True)
    assert reduced.aggregator.create is None
    assert reduced.aggregator.merge_value.call is reduced.aggregator.merge_combiners.call is operator.add
    grouped = shuffle_of(pairs.groupByKey(3))
    assert (grouped.partitioner, grouped.combine_on_map, grouped.aggregator) == (HashPartitioner(3), True, GROUP)
    folded = shuffle_of(pairs.foldByKey(7, operator.add))
    assert folded.aggregator.zero is not None
    assert shuffle_of(pairs.distinct(2)).combine_on_map
    assert shuffle_of(pairs.repartition(2)).partitioner.keyed is False
    assert shuffle_of(pairs.partitionBy(2)).aggregator is None


def test_what_is_placed_already_is_combined_in_place(context):
    placed = numbers(context, 4).keyBy(str).partitionBy(3)
    for rdd in (placed.reduceByKey(max), placed.groupByKey(), placed.foldByKey(0, max), placed.reduceByKey(max, 3)):
        assert shuffle_of(rdd) is shuffle_of(placed)
        assert rdd.partitioner == placed.partitioner
    assert shuffle_of(placed.reduceByKey(max, 4)) is not shuffle_of(placed)
    assert shuffle_of(placed.reduceByKey(max, partitionFunc=len)) is not shuffle_of(placed)


def test_own_partition_functions_are_compared_by_identity(context):
    def first(key):
        return ord(key[0])

    pairs = numbers(context, 4).keyBy(str)
    placed = pairs.partitionBy(3, first)
    assert isinstance(placed.partitioner, FunctionPartitioner)
    assert placed.partitionBy(3, first) is placed
    assert placed.partitioner == pairs.partitionBy(3, first).partitioner
    assert placed.partitioner != pairs.partitionBy(3, lambda key: ord(key[0])).partitioner
    assert placed.partitioner.numPartitions == 3
    assert placed.partitioner.partitionFunc is first


def test_cogroups_shuffle_only_what_is_not_in_place(context):
    pairs = numbers(context, 4).keyBy(str)
    placed = pairs.partitionBy(3)

    def kinds(rdd):
        node = rdd._node.parent
        assert isinstance(node, CoGrouped)
        return [type(dep).__name__ for dep in node.deps], node.n_partitions

    assert kinds(pairs.join(pairs)) == (["ShuffleDependency"] * 2, 8)
    assert kinds(placed.join(placed.mapValues(str))) == (["OneToOne"] * 2, 3)
    assert kinds(placed.join(pairs, 3)) == (["OneToOne", "ShuffleDependency"], 3)
    assert kinds(placed.join(pairs)) == (["ShuffleDependency"] * 2, 7)
    assert kinds(placed.groupWith(placed, placed)) == (["OneToOne"] * 3, 3)
    assert kinds(placed.cogroup(placed, 5)) == (["ShuffleDependency"] * 2, 5)


def test_default_parallelism_comes_before_parents(context):
    pairs = numbers(cast("Context", NoDriver(parallelism=6)), 4).keyBy(str)
    assert pairs.reduceByKey(max).getNumPartitions() == 6
    assert pairs.join(pairs).getNumPartitions() == 6
    assert pairs.reduceByKey(max, 2).getNumPartitions() == 2
    placed = pairs.partitionBy(3)
    assert placed.join(placed).getNumPartitions() == 6


def test_unions_of_unions_are_flat(context):
    rdds = [numbers(context, i + 1) for i in range(5)]
    tree = (rdds[0] + rdds[1]) + (rdds[2] + (rdds[3] + rdds[4]))
    node = tree._node
    assert isinstance(node, Union)
    assert [dep.parent for dep in node.deps] == [rdd._node for rdd in rdds]
    assert node.n_partitions == 15


def test_unions_that_were_used_are_dissolved_too_unless_named(context):
    one, two = numbers(context, 1), numbers(context, 2)
    used = one + two
    assert used.getNumPartitions() == 3
    assert len((used + one)._node.deps) == 3
    named = (one + two).setName("kept")
    assert [dep.parent for dep in (named + one)._node.deps] == [named._node, one._node]


def test_unions_of_both_kinds(context):
    placed = numbers(context, 1).keyBy(str).partitionBy(2)
    together = placed + placed + placed
    assert isinstance(together._node, PartitionwiseUnion)
    assert len(together._node.deps) == 3
    apart = together + numbers(context, 1).keyBy(str)
    assert isinstance(apart._node, Union)
    assert apart._node.deps[0].parent is together._node
    assert apart.getNumPartitions() == 3


def test_chains_share_one_id(context):
    first = numbers(context, 1)
    chain = first.map(str).filter(bool)
    assert (first.id(), numbers(context, 1).id(), chain.id(), chain.id()) == (0, 1, 2, 2)
