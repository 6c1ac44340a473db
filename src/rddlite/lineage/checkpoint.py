"""Nodes whose lineage was cut: their records are in files of a shared storage, or kept by executors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rddlite.errors import CheckpointLost
from rddlite.lineage.graph import Batch, Inputs, Node


@dataclass(frozen=True, slots=True)
class SavedPart:
    """A partition in a file of frames."""

    path: str


class Checkpointed(Node):
    """The records of another node, in files: one for each partition."""

    __slots__ = ("_paths", "directory")
    label = "Checkpoint"

    def __init__(self, node: Node, directory: str, paths: Sequence[str]) -> None:
        super().__init__(node.site, n_partitions=len(paths), partitioner=node.partitioner)
        self.name, self.cached = node.name, node.cached
        self.directory = directory
        self._paths = paths

    def payload(self, index: int) -> SavedPart:
        return SavedPart(self._paths[index])

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        return inputs.source(payload)


class LocallyCheckpointed(Node):
    """The records of another node, kept by executors as its `cached` says, and nowhere else."""

    __slots__ = ()
    label = "LocalCheckpoint"

    def __init__(self, node: Node) -> None:
        super().__init__(node.site, n_partitions=node.n_partitions, partitioner=node.partitioner)
        self.name, self.cached = node.name, node.cached

    def payload(self, index: int) -> str:
        return str(self.site)

    def compute(self, index: int, payload: Any, inputs: Inputs) -> Iterator[Batch]:
        raise CheckpointLost(
            f"partition {index} of the local checkpoint of {payload} is lost with the executor that kept it, and its "
            "lineage was cut: compute it again from its sources, or use checkpoint(), which keeps its data on a shared "
            "storage"
        )
