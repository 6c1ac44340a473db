"""Cuts lineage into stages at wide dependencies.

The scheduler gets a `JobPlan` of ids and counts; the driver keeps, beside it, which nodes each stage computes. Stages
that turn out to be complete already are part of the plan: whether they are skipped is the scheduler's decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rddlite.base.callsite import CallSite
from rddlite.base.ids import JobId, ShuffleId
from rddlite.lineage.graph import Node, ShuffleDependency
from rddlite.lineage.walk import stage_nodes, stage_shuffles
from rddlite.plan.barriers import is_barrier
from rddlite.plan.model import DEFAULT_POOL, JobPlan, MapStage, ResultStage, StageKey, StagePlan


@dataclass(frozen=True, slots=True)
class StageBody:
    """What a stage computes: `nodes` in topological order, the last one being the stage's own.

    `shuffle` is the dependency that a map stage writes for; None for a result stage. The tasks of one that `is_barrier`
    run all together.
    """

    nodes: list[Node]
    shuffle: ShuffleDependency | None
    is_barrier: bool = False


@dataclass(frozen=True, slots=True)
class CutJob:
    """A job ready to be pickled and submitted."""

    plan: JobPlan
    bodies: dict[StageKey, StageBody]


def cut(
    job_id: JobId,
    node: Node,
    partitions: Sequence[int],
    site: CallSite,
    group: str | None = None,
    description: str = "",
    *,
    pool: str = DEFAULT_POOL,
    can_copy: bool = True,
) -> CutJob:
    """Stages for computing `partitions` of a settled `node`; `can_copy` is that of the result stage.

    Raises:
        UnsupportedBarrier: if a barrier stage would have what cannot be part of one.
    """
    bodies: dict[StageKey, StageBody] = {}
    maps: dict[ShuffleId, StagePlan] = {}
    key = ResultStage(job_id)
    nodes = stage_nodes(node)
    together = is_barrier(nodes, len(partitions))
    bodies[key] = StageBody(nodes, None, together)
    shuffles = stage_shuffles(nodes)
    parents = tuple(dep.shuffle_id for dep in shuffles)
    can_copy = can_copy and not together
    result = StagePlan(
        key,
        parents,
        len(partitions),
        label=str(site),
        can_copy=can_copy,
        is_barrier=together,
        has_cached=_may_spare(nodes, together),
    )
    todo = list(shuffles)
    while todo:
        dep = todo.pop()
        if dep.shuffle_id in maps:
            continue
        assert dep.parent is not None
        nodes = stage_nodes(dep.parent)
        together = is_barrier(nodes, dep.parent.n_partitions or 0)
        body = StageBody(nodes, dep, together)
        below = stage_shuffles(nodes)
        map_key = MapStage(dep.shuffle_id)
        bodies[map_key] = body
        maps[dep.shuffle_id] = StagePlan(
            map_key,
            tuple(each.shuffle_id for each in below),
            dep.parent.n_partitions or 0,
            dep.partitioner.n,
            label=str(dep.parent.site),
            can_copy=not together,
            is_barrier=together,
            has_cached=_may_spare(nodes, together),
        )
        todo.extend(below)
    indices = tuple(partitions) if not isinstance(partitions, range) else partitions
    return CutJob(JobPlan(job_id, indices, result, maps, group, description or str(site), pool), bodies)


def _may_spare(nodes: Sequence[Node], is_barrier: bool) -> bool:
    """Whether tasks of a stage may find cached what others would make of a shuffle. Those of a barrier stage must not
    miss an input when they have begun: all of them would have to begin again.
    """
    return not is_barrier and any(node.cached is not None for node in nodes)
