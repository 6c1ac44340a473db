"""Unions that are not built yet: a union of unions becomes one flat node, whatever the number.

`rdd = rdd.union(more)` in a loop would otherwise nest as deep as the loop is long, and flattening at every step would
cost its square. So a union only remembers its parts, and they are gathered, iteratively, when the node is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.graph import Node
from rddlite.lineage.narrow import PartitionwiseUnion, Union
from rddlite.lineage.partitioner import Partitioner

if TYPE_CHECKING:
    from rddlite.api.handle import Handle


class PendingUnion:
    """The union of `parts`: partition by partition if all share a partitioner, else one after another."""

    __slots__ = ("partitioner", "parts", "site")

    def __init__(self, site: CallSite, parts: Sequence[Handle[Any]]) -> None:
        self.site = site
        self.parts = parts
        self.partitioner: Partitioner | None = shared_partitioner(parts)

    def build(self) -> Node:
        """The node, with unions of the same kind among the parts dissolved into their own parts."""
        kind = Union if self.partitioner is None else PartitionwiseUnion
        parents: list[Node] = []
        todo = list(reversed(self.parts))
        while todo:
            part = todo.pop()
            lineage = part._lineage
            if isinstance(lineage, PendingUnion):
                if (lineage.partitioner is None) == (self.partitioner is None):
                    todo.extend(reversed(lineage.parts))
                    continue
                lineage = part._node
            if type(lineage) is kind and lineage.name is None and lineage.cached is None:
                parents.extend(dep.parent for dep in lineage.deps if dep.parent is not None)
            else:
                parents.append(lineage)
        return kind(self.site, parents)


def shared_partitioner(parts: Sequence[Handle[Any]]) -> Partitioner | None:
    """The partitioner that all parts have, if there is one."""
    first = parts[0]._partitioner
    if first is None or any(part._partitioner != first for part in parts[1:]):
        return None
    return first
