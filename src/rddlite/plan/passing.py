"""Which shuffles of a job only lead to its others: nothing that the program can name reads them.

`x = x.map(f).reduceByKey(g)`, again and again, leaves nobody who could ask for the records of the rounds before. Once
what was made from them is there, their outputs are of use only if some of it is lost. They are never needed to be
right: whatever is missing is computed again. Pure; used by the driver when it submits a job.
"""

from __future__ import annotations

from collections.abc import Iterable

from rddlite.base.ids import ShuffleId
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.plan.cut import CutJob


def may_pass(job: CutJob) -> set[ShuffleId]:
    """The shuffles that map stages of the job read, and its result stage does not."""
    read = {shuffle for plan in job.plan.maps.values() for shuffle in plan.parents}
    return read.difference(job.plan.result.parents)


def passing(job: CutJob, held: Iterable[Node]) -> frozenset[ShuffleId]:
    """Shuffles of the job that none of these nodes reads without one of the job's in between, nor anything cached."""
    found = may_pass(job)
    maps = job.plan.maps
    todo = [node for body in job.bodies.values() for node in body.nodes if node.cached is not None]
    todo.extend(held)
    seen = {id(node) for node in todo}
    while todo and found:
        for dep in todo.pop().deps:
            if isinstance(dep, ShuffleDependency) and dep.shuffle_id in maps:
                found.discard(dep.shuffle_id)
            elif dep.parent is not None and id(dep.parent) not in seen:
                seen.add(id(dep.parent))
                todo.append(dep.parent)
    return frozenset(found)
