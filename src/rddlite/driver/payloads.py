"""One payload per stage: a flat table of nodes in topological order, parents as indices, each function its own blob.

A flat table does not nest, so the depth of lineage does not matter to pickle. Functions are pickled at their first use
and their bytes stay with the `UserFunction`. Beside the payload, which all tasks of a stage share, a task gets only
the payloads of the source partitions that it reads.

A task of a union needs one of the united parents only. So the payload of a stage over a wide union comes in pieces, one
for each group of neighbouring parents: else the work of all tasks would grow with the square of their number.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rddlite.base.cached import Block
from rddlite.base.ids import ShuffleId
from rddlite.base.jobsetting import NO_SETTING, JobSetting
from rddlite.base.units import show_bytes
from rddlite.errors import NotPicklable
from rddlite.lineage.graph import Dependency, NarrowDependency, Node, OneToOne, RangeDependency, ShuffleDependency
from rddlite.lineage.narrow import Pipelined, Union
from rddlite.lineage.ops import UserFunction
from rddlite.lineage.walk import stage_nodes
from rddlite.plan.cut import StageBody
from rddlite.serde.closures import dumps, dumps_function, largest_captures, loads

_WIDE = 16
_GROUP = 8


_LARGEST_FUNCTION = 200 << 20


class _PayloadPickler(pickle.Pickler):
    """Pickles the table; functions leave it as `(name, site, blob)`, made by cloudpickle once."""

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is UserFunction:
            if obj.blob is None:
                obj.blob = _pickled(obj)
            return (obj.site, obj.blob, obj.name)
        return None

    def reducer_override(self, obj: Any) -> Any:
        # The bounds of a sort are keys of the program; a class of its script is there by name on the driver only.
        if isinstance(obj, type) and (obj.__module__ == "__main__" or "<locals>" in obj.__qualname__):
            return loads, (dumps(obj),)
        return NotImplemented


def _pickled(function: UserFunction) -> bytes:
    what = f"{function.site.method}({function.name}) at {function.site.file}:{function.site.line}"
    blob = dumps_function(function.call, what)
    if len(blob) > _LARGEST_FUNCTION:
        carried = "; ".join(f"{path}: {show_bytes(size)}" for path, size in largest_captures(function.call)[:3])
        raise NotPicklable(
            f"{what} takes {show_bytes(len(blob))} with what it carries along ({carried}), and every task would read "
            f"it again; at most {show_bytes(_LARGEST_FUNCTION)} can travel: make it a broadcast variable "
            "(sc.broadcast), read it inside tasks from a file (mapPartitions), or make it an RDD and join"
        )
    return blob


class StagePayload:
    """The pickled form of one stage, or of what some of its tasks need of it. `digest` names it everywhere.

    `deps_of` replaces the dependencies of some nodes, by id. `setting` is what tasks are told beside.
    """

    __slots__ = ("_bottoms", "_marked", "_narrow", "_parents", "_rows", "_shuffles", "data", "digest")

    def __init__(
        self,
        body: StageBody,
        consumer: Any,
        setting: JobSetting = NO_SETTING,
        deps_of: dict[int, Sequence[Dependency]] | None = None,
    ) -> None:
        rows = {id(node): row for row, node in enumerate(body.nodes)}
        given = deps_of or {}
        table = [
            (type(node), _dep_rows(given.get(id(node), node.deps), rows), node.spec(), node.cached)
            for node in body.nodes
        ]
        shuffle = body.shuffle.spec() if body.shuffle is not None else None
        setting = setting.with_cpus(max(node.cpus for node in body.nodes))
        self.data = pickle.dumps(setting, protocol=5) + _dump((table, shuffle, consumer))
        self.digest = hashlib.blake2b(self.data, digest_size=16).hexdigest()
        self._rows = rows
        self._bottoms = _bottoms(body.nodes)
        self._marked = _marked_or_bottoms(body.nodes) if any(node.cached for node in body.nodes) else None
        # As they are now: a lineage may be cut while tasks are launched that know it as it was. Of shuffles the ids, so
        # that they go with their lineage.
        self._narrow: dict[int, tuple[NarrowDependency, ...]] = {}
        self._shuffles: dict[int, tuple[ShuffleId, ...]] = {}
        for node in dict.fromkeys([*self._bottoms, *(self._marked or ())]):
            deps = given.get(id(node), node.deps)
            self._narrow[id(node)] = tuple(dep for dep in deps if isinstance(dep, NarrowDependency))
            self._shuffles[id(node)] = tuple(dep.shuffle_id for dep in deps if isinstance(dep, ShuffleDependency))
        known = [dep for narrow in self._narrow.values() for dep in narrow if id(dep.parent) in rows]
        self._parents = {id(dep): rows[id(dep.parent)] for dep in known}

    def piece(self, index: int) -> StagePayload:
        """What the task of partition `index` needs: all of it."""
        return self

    def sources_of(self, index: int) -> bytes:
        """Pickled `{(row, partition index): payload}` of the source partitions behind partition `index`."""
        bottom = self._bottoms[-1]
        if self._is_source(bottom):  # nearly always
            return pickle.dumps({(self._rows[id(bottom)], index): bottom.payload(index)}, protocol=5)
        found: dict[tuple[int, int], Any] = {}
        todo = [(bottom, index)]
        while todo:
            node, i = todo.pop()
            if self._is_source(node):
                found[self._rows[id(node)], i] = node.payload(i)
                continue
            narrow = self._narrow[id(node)]
            through = node.passes_through(i, narrow) if narrow else None
            if through is not None:
                dep, parent_index = through
                todo.append((self._bottoms[self._parents[id(dep)]], parent_index))
                continue
            todo.extend(
                (self._bottoms[self._parents[id(dep)]], parent_index)
                for dep in narrow
                for parent_index in dep.parents_of(i)
            )
        return pickle.dumps(found, protocol=5) if found else b""

    @property
    def has_cached(self) -> bool:
        """Whether tasks may read or fill cached partitions."""
        return self._marked is not None

    def cached_of(self, index: int) -> list[Block]:
        """The cached partitions that the task of partition `index` reads or fills: the nearest ones on each way."""
        if self._marked is None:
            return []
        found: dict[Block, None] = {}
        todo = [(self._marked[-1], index)]
        while todo:
            node, i = todo.pop()
            if node.cached is not None:
                found[node.cached.id, i] = None
                continue
            todo.extend(
                (self._marked[self._parents[id(dep)]], parent_index)
                for dep in self._narrow[id(node)]
                for parent_index in dep.parents_of(i)
            )
        return list(found)

    def reads(self, index: int, is_kept: Callable[[Block], object]) -> set[ShuffleId]:
        """The shuffles that the task of partition `index` reads, if it finds what `is_kept`."""
        stops = self._marked or self._bottoms
        found: set[ShuffleId] = set()
        todo = [(stops[-1], index)]
        while todo:
            node, i = todo.pop()
            kept = node.cached
            if kept is not None and is_kept((kept.id, i)):
                continue
            found.update(self._shuffles[id(node)])
            for dep in self._narrow[id(node)]:
                todo.extend((stops[self._parents[id(dep)]], parent_index) for parent_index in dep.parents_of(i))
        return found

    def _is_source(self, node: Node) -> bool:
        return not self._narrow[id(node)] and not self._shuffles[id(node)]


class UnionPayload:
    """The payload of a stage whose operations stand on a wide union, in pieces by groups of united parents."""

    __slots__ = ("_pieces", "_starts", "has_cached")

    def __init__(self, body: StageBody, consumer: Any, setting: JobSetting, union: Union, above: list[Node]) -> None:
        # What stands above the union is repeated in every piece, so pieces are about as large as that at least.
        size = max(_GROUP, len(above))
        deps = [dep for dep in union.deps if isinstance(dep, RangeDependency)]
        groups = [deps[first : first + size] for first in range(0, len(deps), size)]
        self._starts = [group[0].start_out for group in groups]
        self._pieces = [_piece(body, consumer, setting, union, group, above) for group in groups]
        self.has_cached = any(piece.has_cached for piece in self._pieces)

    def piece(self, index: int) -> StagePayload:
        """What the task of partition `index` needs: the group that holds its parent."""
        # Empty parents share their start with the next one, which owns the partition: the last that starts there.
        return self._pieces[bisect_right(self._starts, index) - 1]


Payload = StagePayload | UnionPayload


def stage_payload(body: StageBody, consumer: Any, setting: JobSetting = NO_SETTING) -> Payload:
    """The pickled form of a stage.

    Raises:
        NotPicklable: if a function or what it captured cannot travel.
    """
    if body.is_barrier:
        setting = replace(setting, is_barrier=True)
    above: list[Node] = []
    node = body.nodes[-1]
    while isinstance(node, Pipelined):
        above.append(node)
        node = node.parent
    if isinstance(node, Union) and len(node.deps) > _WIDE:
        return UnionPayload(body, consumer, setting, node, above[::-1])
    return StagePayload(body, consumer, setting)


def _piece(
    body: StageBody,
    consumer: Any,
    setting: JobSetting,
    union: Union,
    group: list[RangeDependency],
    above: list[Node],
) -> StagePayload:
    below = stage_nodes(Union(union.site, [dep.parent for dep in group]))[:-1]
    return StagePayload(StageBody([*below, union, *above], body.shuffle), consumer, setting, {id(union): group})


def _marked_or_bottoms(nodes: list[Node]) -> list[Node]:
    """For each node, the first one at or below it that is cached, or not a mere operation on one parent."""
    by_id: dict[int, Node] = {}
    found = []
    for node in nodes:
        stop = by_id[id(node.parent)] if isinstance(node, Pipelined) and node.cached is None else node
        by_id[id(node)] = stop
        found.append(stop)
    return found


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


def _dep_rows(deps: Sequence[Dependency], rows: dict[int, int]) -> list[tuple[Any, ...]]:
    return [
        (ShuffleDependency, None, dep.spec())
        if isinstance(dep, ShuffleDependency)
        else (type(dep), rows[id(dep.parent)], dep.spec())
        for dep in deps
    ]


def _dump(value: Any) -> bytes:
    buffer = io.BytesIO()
    _PayloadPickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()
