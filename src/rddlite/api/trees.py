"""Reduction of many partitions without all partial values going to the driver: they are joined in tasks, level by
level. Neighbours are joined with neighbours, so that the order of records is kept.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

from rddlite.api import exchange
from rddlite.api.actions import _reduced
from rddlite.api.arguments import check_callable, count, own_function, pickled_zero, user_function
from rddlite.api.handle import Handle, T_co
from rddlite.base.callsite import CallSite, call_site
from rddlite.lineage import taskside
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.consumers import Collect, Fold, Reduce
from rddlite.lineage.graph import Node
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions, UserFunction, Values
from rddlite.lineage.partitioner import HashPartitioner
from rddlite.serde.closures import loads

T = TypeVar("T")
U = TypeVar("U")


class Trees(Handle[T_co]):
    """The mixin of `RDD` for reductions over several levels."""

    __slots__ = ()

    def treeReduce(self: Handle[T], f: Callable[[T, T], T], depth: int = 2) -> T:
        """As `reduce`, but with many partitions their results are joined in tasks first.

        Args:
            f: combines two records; should be associative.
            depth: about how many times results are joined, the last time on the driver.

        Raises:
            TypeError: if `f` cannot be called.
            ValueError: if there is no record, or `depth` is less than 1.
            JobFailed: if the job fails.

        >>> sc.range(100, numSlices=20).treeReduce(add)
        4950
        """
        site = call_site("treeReduce")
        function = user_function(f, site)
        sizes = levels(self._n_partitions(), count(depth, site, "depth", 1))
        if not sizes:
            parts: list[list[T]] = self._run(Reduce(function), site)
            return _reduced(f, parts, site)
        within = own_function(functools.partial(taskside.reduced, f), site, f)
        joined = joined_neighbours(Pipelined(site, self._node, MapPartitions(within)), sizes, function, site)
        values: list[list[T]] = self._derive(joined)._run(Collect(), site)
        return _reduced(f, values, site)

    def treeAggregate(
        self: Handle[T], zeroValue: U, seqOp: Callable[[U, T], U], combOp: Callable[[U, U], U], depth: int = 2
    ) -> U:
        """As `aggregate`, but with many partitions their values are joined in tasks first.

        Args:
            zeroValue: where each partition starts, and nothing else; every task gets a copy of its own.
            seqOp: adds a record; may change and return its first argument.
            combOp: joins two values; may change and return its first argument.
            depth: about how many times values are joined, the last time on the driver.

        Raises:
            TypeError: if an operation cannot be called.
            ValueError: if `depth` is less than 1.
            NotPicklable: if the zero cannot be pickled.
            JobFailed: if the job fails.

        >>> words = sc.parallelize(["to", "be", "or", "not"], 4)
        >>> words.treeAggregate(0, lambda letters, word: letters + len(word), add)
        9
        """
        site = call_site("treeAggregate")
        check_callable(seqOp, site, "seqOp")
        check_callable(combOp, site, "combOp")
        zero = pickled_zero(zeroValue, site)
        sizes = levels(self._n_partitions(), count(depth, site, "depth", 1))
        if not sizes:
            parts = self._run(Fold(zero, user_function(seqOp, site, "seqOp")), site)
        else:
            fresh = functools.partial(loads, zero)
            within = own_function(functools.partial(taskside.folded, fresh, seqOp), site, seqOp)
            node = Pipelined(site, self._node, MapPartitions(within))
            joined = joined_neighbours(node, sizes, user_function(combOp, site, "combOp"), site)
            parts = [value for part in self._derive(joined)._run(Collect(), site) for value in part]
        nothing: U = loads(zero)
        return functools.reduce(combOp, parts) if parts else nothing


def levels(n: int, depth: int) -> list[int]:
    """To how many partitions results are joined in tasks, each time; never where it would save nothing."""
    scale = max(math.ceil(n ** (1 / depth)), 2)
    sizes = []
    left = float(n)
    while left > scale + left / scale:
        left /= scale
        sizes.append(int(left))
    return sizes


def joined_neighbours(node: Node, sizes: list[int], function: UserFunction, site: CallSite) -> Node:
    """The values of each partition of the node, joined with those of its neighbours."""
    for n in sizes:
        before = node.n_partitions
        assert before is not None
        place = own_function(functools.partial(taskside.numbered_by_neighbours, before, n), site)
        numbered = Pipelined(site, node, MapPartitions(place, with_index=True))
        joined = exchange.combined(numbered, HashPartitioner(n), Aggregator(None, function, function), site)
        node = Pipelined(site, joined, Values(site))
    return node
