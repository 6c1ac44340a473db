"""Nodes that bring partitions of two parents together, without an exchange of records: zip and cartesian product."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.graph import Batch, Dependency, Inputs, NarrowDependency, Node, OneToOne

_BATCH = 8192
_END: Any = object()


class Zipped(Node):
    """Partition i holds pairs of the records of partition i of both parents, which must have equally many."""

    __slots__ = ()
    label = "Zipped"

    def __init__(self, site: CallSite, left: Node, right: Node) -> None:
        super().__init__(site, (OneToOne(left), OneToOne(right)), left.n_partitions)

    def settle(self) -> None:
        parent = self.deps[0].parent
        assert parent is not None
        self.n_partitions = parent.n_partitions

    def spec(self) -> tuple[Any, ...]:
        return (self.site,)

    @classmethod
    def from_spec(cls, deps: tuple[Dependency, ...], spec: tuple[Any, ...]) -> Node:
        node = super().from_spec(deps, spec)
        (node.site,) = spec
        return node

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        left, right = (chain.from_iterable(_batches(dep, index, inputs)) for dep in self.deps)
        while True:
            ahead = list(islice(left, _BATCH))
            behind = list(islice(right, len(ahead)))
            if len(behind) < len(ahead) or (len(ahead) < _BATCH and next(right, _END) is not _END):
                raise ValueError(
                    f"{self.site}: partition {index} has fewer or more records in one RDD than in the other: zip needs "
                    "RDDs with equally many in each partition, such as one and a map of it; to pair by position "
                    "whatever the partitions, join them after zipWithIndex()"
                )
            if not ahead:
                return
            yield list(zip(ahead, behind, strict=True))


class PairsDependency(NarrowDependency):
    """Partition i of a product needs partition `i // n_right` of the left parent, and `i % n_right` of the right."""

    __slots__ = ("is_left", "n_right")

    def __init__(self, parent: Node, n_right: int, is_left: bool) -> None:
        super().__init__(parent)
        self.n_right, self.is_left = n_right, is_left

    def parents_of(self, index: int) -> Sequence[int]:
        return (index // self.n_right if self.is_left else index % self.n_right,)

    def spec(self) -> tuple[Any, ...]:
        return (self.n_right, self.is_left)


class Cartesian(Node):
    """All pairs of a record of the left and one of the right parent; a partition for each pair of partitions.

    The records of one right partition are held while those of the left one go by.
    """

    __slots__ = ()
    label = "Cartesian"

    def __init__(self, site: CallSite, left: Node, right: Node) -> None:
        super().__init__(site, (PairsDependency(left, 1, True), PairsDependency(right, 1, False)))
        if left.n_partitions is not None and right.n_partitions is not None:
            self.settle()

    def settle(self) -> None:
        left, right = self.deps
        assert isinstance(left, PairsDependency)
        assert isinstance(right, PairsDependency)
        n_right = right.parent.n_partitions or 0
        left.n_right = right.n_right = max(1, n_right)
        self.n_partitions = (left.parent.n_partitions or 0) * n_right

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        left, right = self.deps
        held = list(chain.from_iterable(_batches(right, index, inputs)))
        if not held:
            return
        step = max(1, _BATCH // len(held))
        for batch in _batches(left, index, inputs):
            for start in range(0, len(batch), step):
                yield from _product(batch[start : start + step], held)


def _product(left: Batch, right: Batch) -> Iterator[Batch]:
    if len(right) <= _BATCH:
        yield [(a, b) for a in left for b in right]
        return
    for a in left:
        for start in range(0, len(right), _BATCH):
            yield [(a, b) for b in right[start : start + _BATCH]]


def _batches(dep: Dependency, index: int, inputs: Inputs) -> Iterator[Batch]:
    assert isinstance(dep, NarrowDependency)
    (parent_index,) = dep.parents_of(index)
    return inputs.narrow(dep, parent_index)
