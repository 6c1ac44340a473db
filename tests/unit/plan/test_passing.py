"""Which shuffles nobody but the job itself can ask for."""

from __future__ import annotations

import operator

from rddlite.base.callsite import CallSite
from rddlite.base.ids import JobId
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.caching import Cached
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined, Union
from rddlite.lineage.ops import Map, UserFunction
from rddlite.lineage.partitioner import HashPartitioner
from rddlite.lineage.sources import Range
from rddlite.lineage.wide import Shuffled
from rddlite.plan.cut import cut
from rddlite.plan.passing import may_pass, passing
from rddlite.storage.level import StorageLevel

SITE = CallSite("test", "job.py", 1)


def source() -> Node:
    return Range(SITE, range(30), 3)


def mapped(parent: Node) -> Node:
    return Pipelined(SITE, parent, Map(UserFunction(str, SITE)))


def reduced(parent: Node) -> Shuffled:
    add = UserFunction(operator.add, SITE)
    dep = ShuffleDependency(parent, HashPartitioner(2), Aggregator(None, add, add), combine_on_map=True)
    return Shuffled(SITE, dep)


def passing_of(node: Node, *held: Node) -> set[int]:
    return set(passing(cut(JobId(0), node, range(2), SITE), [node, *held]))


def numbers(*shuffled: Shuffled) -> set[int]:
    return {each.shuffle.shuffle_id for each in shuffled}


def test_all_but_the_last_round_where_nothing_else_is_held() -> None:
    first = reduced(mapped(source()))
    second = reduced(mapped(first))
    third = reduced(second)
    assert passing_of(mapped(third)) == numbers(first, second)
    assert not may_pass(cut(JobId(0), mapped(first), range(2), SITE))


def test_what_a_held_node_reads_is_not() -> None:
    first = reduced(source())
    second = reduced(mapped(first))
    third = reduced(second)
    assert passing_of(third, mapped(first)) == numbers(second)
    assert passing_of(third, second) == numbers(first)


def test_nor_what_it_reads_through_shuffles_of_other_jobs() -> None:
    first = reduced(source())
    second = reduced(first)
    elsewhere = reduced(mapped(reduced(mapped(first))))
    assert passing_of(second, elsewhere) == set()


def test_nor_what_something_cached_is_made_from() -> None:
    first = reduced(source())
    cached = mapped(first)
    second = reduced(mapped(cached))
    third = reduced(second)
    assert passing_of(third) == numbers(first, second)
    cached.cached = Cached(StorageLevel.MEMORY_ONLY)
    assert passing_of(third) == numbers(second)


def test_what_the_result_reads_too_is_not() -> None:
    first = reduced(source())
    second = reduced(first)
    assert passing_of(Union(SITE, [mapped(first), second])) == set()
