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
from rddlite.plan.model import DEFAULT_POOL, JobPlan, MapStage, ResultStage, StageKey, StagePlan


@dataclass(frozen=True, slots=True)
class StageBody:
    """What a stage computes: `nodes` in topological order, the last one being the stage's own.

    `shuffle` is the dependency that a map stage writes for; None for a result stage.
    """

    nodes: list[Node]
    shuffle: ShuffleDependency | None


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
    """Stages for computing `partitions` of a settled `node`; `can_copy` is that of the result stage."""
    bodies: dict[StageKey, StageBody] = {}
    maps: dict[ShuffleId, StagePlan] = {}
    key = ResultStage(job_id)
    bodies[key] = StageBody(stage_nodes(node), None)
    shuffles = stage_shuffles(bodies[key].nodes)
    parents = tuple(dep.shuffle_id for dep in shuffles)
    result = StagePlan(key, parents, len(partitions), label=str(site), can_copy=can_copy)
    todo = list(shuffles)
    while todo:
        dep = todo.pop()
        if dep.shuffle_id in maps:
            continue
        assert dep.parent is not None
        body = StageBody(stage_nodes(dep.parent), dep)
        below = stage_shuffles(body.nodes)
        map_key = MapStage(dep.shuffle_id)
        bodies[map_key] = body
        maps[dep.shuffle_id] = StagePlan(
            map_key,
            tuple(each.shuffle_id for each in below),
            dep.parent.n_partitions or 0,
            dep.partitioner.n,
            label=str(dep.parent.site),
        )
        todo.extend(below)
    indices = tuple(partitions) if not isinstance(partitions, range) else partitions
    return CutJob(JobPlan(job_id, indices, result, maps, group, description or str(site), pool), bodies)
