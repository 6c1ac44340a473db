"""Nodes that bring the records of a key together: by a shuffle, or in place where they are together already.

The functions here turn handles and checked arguments into lineage; the methods of `pairs`, `transforms` and `ordering`
say which. A parent that is placed by an equal partitioner is never shuffled again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rddlite.api.arguments import check_callable, own_function, partitions, user_function
from rddlite.api.handle import Handle
from rddlite.api.unions import shared_partitioner
from rddlite.base.callsite import CallSite
from rddlite.lineage import taskside
from rddlite.lineage.aggregator import GROUP, Aggregator
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import Keys, Map, MapValues
from rddlite.lineage.partitioner import FunctionPartitioner, HashPartitioner, Partitioner
from rddlite.lineage.results import ResultIterable
from rddlite.lineage.wide import CoGrouped, Gathered, Shuffled
from rddlite.serde.hashing import stable_hash


def partitioner_of(n: int, partition_func: Callable[[Any], int], site: CallSite) -> Partitioner:
    """The partitioner that places by `partition_func(key) % n`.

    Raises:
        TypeError: if `partition_func` cannot be called.
    """
    check_callable(partition_func, site, "partitionFunc")
    if partition_func is stable_hash:
        return HashPartitioner(n)
    return FunctionPartitioner(n, user_function(partition_func, site, "partitionFunc"))


def partitioned(node: Node, partitioner: Partitioner, site: CallSite) -> Node:
    """The pairs of the node, placed by key; the node itself if they are already."""
    if node.partitioner == partitioner:
        return node
    return Shuffled(site, ShuffleDependency(node, partitioner, site=site))


def combined(node: Node, partitioner: Partitioner, aggregator: Aggregator, site: CallSite) -> Node:
    """One pair for each key, its values combined: first within map tasks, then across them."""
    if node.partitioner == partitioner:
        return Gathered(site, node, aggregator)
    return Shuffled(site, ShuffleDependency(node, partitioner, aggregator, combine_on_map=True, site=site))


def grouped(node: Node, partitioner: Partitioner, site: CallSite) -> Node:
    """`(key, ResultIterable of its values)` for each key, grouped within map tasks first where keys repeat."""
    if node.partitioner == partitioner:
        lists: Node = Gathered(site, node, GROUP)
    else:
        lists = Shuffled(site, ShuffleDependency(node, partitioner, GROUP, combine_on_map=True, site=site))
    return Pipelined(site, lists, MapValues(own_function(ResultIterable, site)), keeps_partitioner=True)


def cogrouped(handles: Sequence[Handle[Any]], n: int | None, site: CallSite) -> Node:
    """`(key, (list of values of each handle, ...))` for each key of any of them.

    Without a count, it is what the settings say, else that of the partitioner that all share, else the sum of all.
    """
    shared = shared_partitioner(handles)
    wanted = handles[0]._context._set_parallelism() if n is None else partitions(n, site)
    if wanted is None:
        wanted = shared.n if shared is not None else sum(handle._n_partitions() for handle in handles)
    partitioner = shared if shared is not None and shared.n == wanted else HashPartitioner(wanted)
    return CoGrouped(site, [handle._node for handle in handles], partitioner)


def marked(node: Node, site: CallSite) -> Node:
    """Every record as the key of a pair without a value."""
    return Pipelined(site, node, Map(own_function(taskside.with_none, site)))


def distinct_records(node: Node, n: int, site: CallSite) -> Node:
    """Each record once; duplicates are dropped within map tasks first."""
    last = own_function(taskside.keep_last, site)
    once = combined(marked(node, site), HashPartitioner(n), Aggregator(None, last, last), site)
    return Pipelined(site, once, Keys(site))
