"""Nodes that read shuffles: each partition needs a share of every partition of a parent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rddlite.base.callsite import CallSite
from rddlite.lineage.graph import Batch, Inputs, Node, OneToOne, ShuffleDependency
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
