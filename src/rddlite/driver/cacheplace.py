"""A job's plan with the hosts that keep what its tasks read: cached partitions draw their tasks there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rddlite.base.cached import Block
from rddlite.driver.cachetable import CacheTable
from rddlite.driver.payloads import Payload
from rddlite.driver.roster import Roster
from rddlite.plan.model import JobPlan, StageKey, StagePlan


def with_hosts(plan: JobPlan, payloads: Mapping[StageKey, Payload], caches: CacheTable, roster: Roster) -> JobPlan:
    """The plan, where there is a choice of executors, and stages that read what some of them keep."""
    marked = {key: payload for key, payload in payloads.items() if payload.has_cached}
    if not marked or caches.is_empty or len(roster.ids()) < 2:
        return plan
    host_of = {executor: roster.host(executor) for executor in roster.ids()}

    def near(stage: StagePlan, partitions: Sequence[int]) -> StagePlan:
        payload = marked.get(stage.key)
        if payload is None:
            return stage

        def blocks_of(partition: int) -> list[Block]:
            return payload.piece(partition).cached_of(partition)

        return replace(stage, hosts=caches.hosts(blocks_of, partitions, host_of))

    maps = {shuffle: near(stage, range(stage.n_tasks)) for shuffle, stage in plan.maps.items()}
    return replace(plan, result=near(plan.result, plan.partitions), maps=maps)
