"""One payload per stage: a flat table of nodes in topological order, parents as indices, each function its own blob.

A flat table does not nest, so the depth of lineage does not matter to pickle. Functions are pickled at their first use
and their bytes stay with the `UserFunction`. Beside the payload, which all tasks of a stage share, a task gets only
the payloads of the source partitions that it reads.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from typing import Any

from rddlite.lineage.graph import NarrowDependency, Node, OneToOne, ShuffleDependency
from rddlite.lineage.ops import UserFunction
from rddlite.plan.cut import StageBody
from rddlite.serde.closures import dumps_function


class _PayloadPickler(pickle.Pickler):
    """Pickles the table; functions leave it as `(name, site, blob)`, made by cloudpickle once."""

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is UserFunction:
            if obj.blob is None:
                obj.blob = dumps_function(obj.call, f"{obj.site.method}({obj.name}) at {obj.site.file}:{obj.site.line}")
            return (obj.site, obj.blob, obj.name)
        return None


class StagePayload:
    """The pickled form of one stage. `digest` names it everywhere."""

    __slots__ = ("_bottoms", "_rows", "data", "digest")

    def __init__(self, body: StageBody, consumer: Any) -> None:
        rows = {id(node): row for row, node in enumerate(body.nodes)}
        table = [(type(node), _dep_rows(node, rows), node.spec()) for node in body.nodes]
        self.data = _dump((table, body.shuffle.spec() if body.shuffle is not None else None, consumer))
        self.digest = hashlib.blake2b(self.data, digest_size=16).hexdigest()
        self._rows = rows
        self._bottoms = _bottoms(body.nodes)

    def sources_of(self, index: int) -> bytes:
        """Pickled `{(row, partition index): payload}` of the source partitions behind partition `index`."""
        found: dict[tuple[int, int], Any] = {}
        todo = [(self._bottoms[-1], index)]
        while todo:
            node, i = todo.pop()
            if not node.deps:
                found[self._rows[id(node)], i] = node.payload(i)
                continue
            through = node.passes_through(i)
            if through is not None:
                dep, parent_index = through
                todo.append((self._bottom(dep.parent), parent_index))
                continue
            todo.extend(
                (self._bottom(dep.parent), parent_index)
                for dep in node.deps
                if isinstance(dep, NarrowDependency)
                for parent_index in dep.parents_of(i)
            )
        return pickle.dumps(found, protocol=5) if found else b""

    def _bottom(self, node: Node) -> Node:
        return self._bottoms[self._rows[id(node)]]


def _bottoms(nodes: list[Node]) -> list[Node]:
    """For each node, the first one at or below it that is not a mere operation on one parent.

    Chains of operations are skipped in one step then, so that the cost of a task does not grow with their length.
    """
    by_id: dict[int, Node] = {}
    bottoms = []
    for node in nodes:
        is_chain_link = len(node.deps) == 1 and isinstance(node.deps[0], OneToOne) and _has_operation(node)
        parent = node.deps[0].parent if is_chain_link else None
        bottom = by_id[id(parent)] if parent is not None else node
        by_id[id(node)] = bottom
        bottoms.append(bottom)
    return bottoms


def _has_operation(node: Node) -> bool:
    return hasattr(node, "op")


def _dep_rows(node: Node, rows: dict[int, int]) -> list[tuple[Any, ...]]:
    return [
        (ShuffleDependency, None, dep.spec())
        if isinstance(dep, ShuffleDependency)
        else (type(dep), rows[id(dep.parent)], dep.spec())
        for dep in node.deps
    ]


def _dump(value: Any) -> bytes:
    buffer = io.BytesIO()
    _PayloadPickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()
