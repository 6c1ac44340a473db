"""Visiting the lineage graph: iterative, never recursive, so that its depth is unlimited."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from rddlite.lineage.graph import NarrowDependency, Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import ONE_FOR_ONE
from rddlite.lineage.sources import Range


def _narrow_parents(node: Node) -> list[Node]:
    return [dep.parent for dep in node.deps if isinstance(dep, NarrowDependency)]


def _all_parents(node: Node) -> list[Node]:
    return [dep.parent for dep in node.deps if dep.parent is not None]


def _in_topological_order(root: Node, parents: Callable[[Node], list[Node]]) -> list[Node]:
    order: list[Node] = []
    entered: set[int] = set()
    todo: list[tuple[Node, bool]] = [(root, False)]
    while todo:
        node, is_done = todo.pop()
        if is_done:
            order.append(node)
        elif id(node) not in entered:
            entered.add(id(node))
            todo.append((node, True))
            todo.extend((parent, False) for parent in reversed(parents(node)) if id(parent) not in entered)
    return order


def known_sizes(node: Node) -> list[int] | None:
    """How many records each partition has, where that can be told without computing any."""
    while isinstance(node, Pipelined) and isinstance(node.op, ONE_FOR_ONE):
        node = node.parent
    return node.sizes() if isinstance(node, Range) else None


def ancestors(node: Node) -> list[Node]:
    """Every node that `node` rests on, parents before children, `node` last."""
    return _in_topological_order(node, _all_parents)


def stage_nodes(node: Node) -> list[Node]:
    """The nodes that are computed in the same stage as `node`, parents before children, `node` last."""
    return _in_topological_order(node, _narrow_parents)


def stage_shuffles(nodes: Sequence[Node]) -> list[ShuffleDependency]:
    """The shuffles that the nodes of one stage read, in order, each once."""
    found = {dep.shuffle_id: dep for node in nodes for dep in node.deps if isinstance(dep, ShuffleDependency)}
    return list(found.values())


def shuffles_below(node: Node) -> list[ShuffleDependency]:
    """The shuffles that `node` is made from, but those that something cached is made from."""
    found: list[ShuffleDependency] = []
    seen = {id(node)}
    todo = [node]
    while todo:
        for dep in todo.pop().deps:
            if isinstance(dep, ShuffleDependency):
                found.append(dep)
            if dep.parent is not None and dep.parent.cached is None and id(dep.parent) not in seen:
                seen.add(id(dep.parent))
                todo.append(dep.parent)
    return found


def unsettled(node: Node) -> list[Node]:
    """Ancestors (and the node) whose number of partitions is not known yet, parents before children."""
    return [each for each in ancestors(node) if each.n_partitions is None]


def to_be_cut(node: Node, marked: Container[Node]) -> list[Node]:
    """The nearest marked nodes that `node` rests on, or itself."""
    found: list[Node] = []
    seen = {id(node)}
    todo = [node]
    while todo:
        current = todo.pop()
        if current in marked:
            found.append(current)
            continue
        for parent in _all_parents(current):
            if id(parent) not in seen:
                seen.add(id(parent))
                todo.append(parent)
    return found


def depth(node: Node) -> int:
    """How many nodes the longest way down from this one has, itself included."""
    depths: dict[int, int] = {}
    for each in ancestors(node):
        depths[id(each)] = 1 + max((depths.get(id(parent), 0) for parent in _all_parents(each)), default=0)
    return depths[id(node)]
