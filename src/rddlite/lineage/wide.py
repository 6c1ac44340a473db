"""Nodes that bring the records of a key together: mostly from every partition of a parent, by a shuffle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.aggregator import Aggregator
from rddlite.lineage.graph import Batch, Dependency, Inputs, Node, OneToOne, ShuffleDependency
from rddlite.lineage.partitioner import Partitioner


class Shuffled(Node):
    """The records of one shuffle: pairs placed by key (combined and ordered as the dependency says), or any records
    spread round-robin.
    """

    __slots__ = ()
    label = "Shuffled"

    def __init__(self, site: CallSite, dep: ShuffleDependency) -> None:
        partitioner = dep.partitioner if dep.partitioner.keyed else None
        super().__init__(site, (dep,), dep.partitioner.n, partitioner)

    @property
    def shuffle(self) -> ShuffleDependency:
        """The one dependency."""
        dep = self.deps[0]
        assert isinstance(dep, ShuffleDependency)
        return dep

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return inputs.shuffled(self.shuffle, index)


class Gathered(Node):
    """One pair for each key, its values combined or grouped: of a parent that has whole keys already."""

    __slots__ = ("aggregator",)
    label = "Gathered"

    def __init__(self, site: CallSite, parent: Node, aggregator: Aggregator) -> None:
        super().__init__(site, (OneToOne(parent),), parent.n_partitions, parent.partitioner)
        self.aggregator = aggregator

    def settle(self) -> None:
        parent = self.deps[0].parent
        assert parent is not None
        self.n_partitions = parent.n_partitions

    def spec(self) -> tuple[Any, ...]:
        return (self.aggregator, self.site)

    @classmethod
    def from_spec(cls, deps: tuple[Dependency, ...], spec: tuple[Any, ...]) -> Node:
        node = super().from_spec(deps, spec)
        assert isinstance(node, Gathered)
        node.aggregator, node.site = spec
        return node

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        dep = self.deps[0]
        assert isinstance(dep, OneToOne)
        return inputs.gathered(dep, self.aggregator, index, self.site)


class CoGrouped(Node):
    """`(key, (list of values of parent 0, list of values of parent 1, ...))` for every key of any parent.

    A parent that is partitioned by the same partitioner already is read in place; the others are shuffled.
    """

    __slots__ = ()
    label = "CoGrouped"

    def __init__(self, site: CallSite, parents: Sequence[Node], partitioner: Partitioner) -> None:
        deps = tuple(
            OneToOne(parent) if parent.partitioner == partitioner else ShuffleDependency(parent, partitioner, site=site)
            for parent in parents
        )
        super().__init__(site, deps, partitioner.n, partitioner)

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return inputs.cogrouped(self.deps, index)
