"""Nodes whose partitions need only a few known partitions of their parents: no exchange of records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.graph import (
    Batch,
    Dependency,
    GroupedDependency,
    Inputs,
    NarrowDependency,
    Node,
    OneToOne,
    RangeDependency,
)

if TYPE_CHECKING:
    from rddlite.lineage.ops import Op


class Pipelined(Node):
    """One record operation on the records of one parent; fused with its neighbours into one loop by the runtime."""

    __slots__ = ("op",)

    def __init__(self, site: CallSite, parent: Node, op: Op, *, keeps_partitioner: bool = False) -> None:
        super().__init__(
            site, (OneToOne(parent),), parent.n_partitions, parent.partitioner if keeps_partitioner else None
        )
        self.op = op

    @property
    def label(self) -> str:  # type: ignore[override]
        """The operation's name."""
        return self.op.label

    @property
    def parent(self) -> Node:
        """The one parent."""
        parent = self.deps[0].parent
        assert parent is not None
        return parent

    def settle(self) -> None:
        self.n_partitions = self.parent.n_partitions

    def spec(self) -> tuple[Any, ...]:
        return (self.op,)

    @classmethod
    def from_spec(cls, deps: tuple[Dependency, ...], spec: tuple[Any, ...]) -> Node:
        node = super().from_spec(deps, spec)
        assert isinstance(node, Pipelined)
        node.op = spec[0]
        return node


class Union(Node):
    """All partitions of all parents, one after another."""

    __slots__ = ()
    label = "Union"

    def __init__(self, site: CallSite, parents: Sequence[Node]) -> None:
        super().__init__(site, tuple(RangeDependency(parent, 0, 0, 0) for parent in parents))
        if all(parent.n_partitions is not None for parent in parents):
            self.settle()

    def settle(self) -> None:
        start = 0
        for dep in self.deps:
            assert isinstance(dep, RangeDependency)
            dep.start_out, dep.length = start, dep.parent.n_partitions or 0
            start += dep.length
        self.n_partitions = start

    def passes_through(
        self, index: int, deps: Sequence[Dependency] | None = None
    ) -> tuple[NarrowDependency, int] | None:
        deps = self.deps if deps is None else deps
        low, high = 0, len(deps)
        while high - low > 1:
            middle = (low + high) // 2
            dep = deps[middle]
            assert isinstance(dep, RangeDependency)
            low, high = (middle, high) if dep.start_out <= index else (low, middle)
        # Empty parents share their start with the next one: the last of them owns the partition.
        found = deps[low]
        assert isinstance(found, RangeDependency)
        return found, found.parents_of(index)[0]


class PartitionwiseUnion(Node):
    """Partition i holds the records of partition i of every parent: for parents that share a partitioner."""

    __slots__ = ()
    label = "PartitionerAwareUnion"

    def __init__(self, site: CallSite, parents: Sequence[Node]) -> None:
        deps = tuple(OneToOne(parent) for parent in parents)
        super().__init__(site, deps, parents[0].n_partitions, parents[0].partitioner)

    def settle(self) -> None:
        parent = self.deps[0].parent
        assert parent is not None
        self.n_partitions = parent.n_partitions

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return _parents_in_turn(self, index, inputs)


class Coalesced(Node):
    """Neighbouring partitions of the parent merged into at most `n`, in order."""

    __slots__ = ("_wanted",)
    label = "Coalesced"

    def __init__(self, site: CallSite, parent: Node, n: int) -> None:
        super().__init__(site, (GroupedDependency(parent, 0, 1),))
        self._wanted = n
        if parent.n_partitions is not None:
            self.settle()

    def settle(self) -> None:
        dep = self.deps[0]
        assert isinstance(dep, GroupedDependency)
        dep.n_in = dep.parent.n_partitions or 0
        self.n_partitions = min(self._wanted, dep.n_in)
        dep.n_out = max(1, self.n_partitions)

    def passes_through(
        self, index: int, deps: Sequence[Dependency] | None = None
    ) -> tuple[NarrowDependency, int] | None:
        dep = (self.deps if deps is None else deps)[0]
        assert isinstance(dep, NarrowDependency)
        parents = dep.parents_of(index)
        return (dep, parents[0]) if len(parents) == 1 else None

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return _parents_in_turn(self, index, inputs)


def _parents_in_turn(node: Node, index: int, inputs: Inputs) -> Iterator[Batch]:
    for dep in node.deps:
        assert isinstance(dep, NarrowDependency)
        for parent_index in dep.parents_of(index):
            yield from inputs.narrow(dep, parent_index)
