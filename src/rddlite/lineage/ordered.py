"""How records are sorted, as data, and the node that sorts each partition where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.graph import Batch, Dependency, Inputs, Node, OneToOne
from rddlite.lineage.ops import UserFunction


@dataclass(frozen=True, slots=True)
class Order:
    """By `keyfunc` of the key (the first item of a pair if `keyed`, else the record itself), or by the key."""

    descending: bool
    keyfunc: UserFunction | None = None
    keyed: bool = True


class SortedInPlace(Node):
    """The records of each partition of the parent, sorted stably."""

    __slots__ = ("order",)
    label = "Sorted"

    def __init__(self, site: CallSite, parent: Node, order: Order) -> None:
        super().__init__(site, (OneToOne(parent),), parent.n_partitions, parent.partitioner)
        self.order = order

    def settle(self) -> None:
        parent = self.deps[0].parent
        assert parent is not None
        self.n_partitions = parent.n_partitions

    def spec(self) -> tuple[Any, ...]:
        return (self.order, self.site)

    @classmethod
    def from_spec(cls, deps: tuple[Dependency, ...], spec: tuple[Any, ...]) -> Node:
        node = super().from_spec(deps, spec)
        assert isinstance(node, SortedInPlace)
        node.order, node.site = spec
        return node

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        dep = self.deps[0]
        assert isinstance(dep, OneToOne)
        return inputs.sorted(dep, self.order, index, self.site)
