"""Lineage and stages as text for people: where data is exchanged, what is combined, how many tasks run."""

from __future__ import annotations

from rddlite.base.callsite import CallSite
from rddlite.base.ids import JobId
from rddlite.lineage.graph import NarrowDependency, Node, ShuffleDependency
from rddlite.lineage.narrow import Pipelined
from rddlite.lineage.ops import describe
from rddlite.lineage.walk import stage_shuffles
from rddlite.plan.cut import StageBody, cut
from rddlite.plan.model import MapStage

_MOST_LINES = 2000


def debug_string(node: Node) -> bytes:
    """The lineage of a settled node as an indented tree: `(n)` heads a stage, `+-(n)` marks an exchange of records.

    Nodes that were printed already are named again but not unfolded; very large lineages are cut off with a note.
    """
    lines: list[str] = []
    seen: set[int] = set()
    head = f"({node.n_partitions})"
    todo: list[tuple[Node, str, str]] = [(node, f"{head} ", _below(head))]
    while todo and len(lines) < _MOST_LINES:
        current, start, indent = todo.pop()
        again = id(current) in seen and bool(current.deps)
        lines.append(f"{start}{_title(current)}{' (see above)' if again else ''}")
        if again:
            continue
        seen.add(id(current))
        deps = [dep for dep in current.deps if dep.parent is not None]
        todo.extend(reversed([_child(dep, indent, dep is deps[-1]) for dep in deps]))
    if todo:
        lines.append(f"... and {len(todo)} more branches: the lineage is larger than {_MOST_LINES} lines")
    return "\n".join(lines).encode()


def _below(count: str) -> str:
    """What lines of the same stage start with: a bar under the middle of its count."""
    left = (len(count) - 1) // 2
    return f"{' ' * left}|{' ' * (len(count) - left)}"


def _child(dep: NarrowDependency | ShuffleDependency, indent: str, is_last: bool) -> tuple[Node, str, str]:
    """The parent of a dependency, what its own line starts with, and what the lines below it start with."""
    assert dep.parent is not None
    if isinstance(dep, NarrowDependency):
        return dep.parent, indent, indent
    stem = indent[: indent.rindex("|")]
    count = f"({dep.parent.n_partitions})"
    return dep.parent, f"{stem}+-{count} ", f"{stem}{'  ' if is_last else '| '}{_below(count)}"


def _title(node: Node) -> str:
    name = f"{node.name} " if node.name else ""
    kept = f", {node.cached.level}" if node.cached is not None else ""
    return f"{name}{node.label} at {node.site} [{node.n_partitions}]{kept}"


def explain(node: Node) -> str:
    """The stages that computing a settled node takes, in the order in which they can run.

    For each: its tasks, what they read, the operations of its fused loop, and what is exchanged at its end.
    """
    job = cut(JobId(0), node, range(node.n_partitions or 0), CallSite("result", "", 0))
    order: list[StageBody] = []
    done: set[int] = set()
    final = job.bodies[job.plan.result.key]
    todo: list[tuple[StageBody, bool]] = [(final, False)]
    while todo:
        body, is_ready = todo.pop()
        if is_ready:
            order.append(body)
        elif id(body) not in done:
            done.add(id(body))
            todo.append((body, True))
            todo.extend((job.bodies[MapStage(dep.shuffle_id)], False) for dep in stage_shuffles(body.nodes))
    return "\n".join(line for number, body in enumerate(order, 1) for line in _stage_lines(number, body))


def _stage_lines(number: int, body: StageBody) -> list[str]:
    top = body.nodes[-1]
    together = ", which run all at once (barrier)" if body.is_barrier else ""
    lines = [f"Stage {number}: {top.n_partitions} task{'' if top.n_partitions == 1 else 's'}{together}"]
    for node in body.nodes:
        if isinstance(node, Pipelined):
            lines.append(f"  {describe(node.op)}")
        else:
            lines.append(f"  {_reading(node)}")
    lines.append(f"  => {_ending(body.shuffle)}")
    return lines


def _reading(node: Node) -> str:
    shuffles = [dep for dep in node.deps if isinstance(dep, ShuffleDependency)]
    in_place = len(node.deps) - len(shuffles)
    text = f"{node.name or node.label} at {node.site}"
    if shuffles:
        text += f", reads shuffle {', '.join(str(dep.shuffle_id) for dep in shuffles)}"
        if in_place:
            text += f" and {in_place} co-partitioned input{'s' if in_place > 1 else ''} in place"
    return text


def _ending(dep: ShuffleDependency | None) -> str:
    if dep is None:
        return "results to the driver"
    combined = "combined by key first" if dep.combine_on_map else "every record"
    return f"exchange: shuffle {dep.shuffle_id}, {combined}, to {dep.partitioner.n} partitions by {dep.partitioner!r}"
