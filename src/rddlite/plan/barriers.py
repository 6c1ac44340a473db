"""Which stages are barrier stages, and what cannot be one: Spark's rules for what may stand in the same stage."""

from __future__ import annotations

from collections.abc import Sequence

from rddlite.errors import UnsupportedBarrier
from rddlite.lineage.graph import NarrowDependency, Node
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import MapPartitions


def is_barrier(nodes: Sequence[Node], n_tasks: int) -> bool:
    """Whether the tasks of a stage of these nodes (parents first, its own last) run all together.

    Raises:
        UnsupportedBarrier: if they should, but a task would compute another number of partitions than one of each RDD,
            or of several RDDs whose tasks wait for each other.
    """
    first = next((node for node in nodes if _starts_barrier(node)), None)
    if first is None:
        return False
    after: set[int] = set()
    for node in nodes:
        parents = [dep.parent for dep in node.deps if isinstance(dep, NarrowDependency)]
        n_above = sum(id(parent) in after for parent in parents)
        if n_above > 1:
            raise UnsupportedBarrier(
                f"{node.label} at {node.site} reads {n_above} RDDs that come from barrier(): one stage can have one "
                "only; repartition() or checkpoint() one of them, so that it is computed in a stage of its own"
            )
        if n_above or _starts_barrier(node):
            after.add(id(node))
    for node in nodes:
        if node.n_partitions != n_tasks:
            raise UnsupportedBarrier(
                f"barrier() at {first.site} needs {first.n_partitions} tasks at once, and this would run {n_tasks}, "
                f"with {node.label} at {node.site} of {node.n_partitions} partitions in the same stage: all RDDs of a "
                "barrier stage must have as many partitions as it has tasks, so union, coalesce and cartesian cannot "
                "be part of it, nor can jobs over some of its partitions be run (first, take, isEmpty, zipWithIndex, "
                "toLocalIterator): use collect(), or repartition() or checkpoint() between them"
            )
    return True


def _starts_barrier(node: Node) -> bool:
    return isinstance(node, Pipelined) and isinstance(node.op, MapPartitions) and node.op.is_barrier
