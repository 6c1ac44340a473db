"""What the scheduler is given: ids, counts and hosts. No functions, no nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from rddlite.base.ids import JobId, ShuffleId


@dataclass(frozen=True, slots=True)
class MapStage:
    """Key of the stage that writes one shuffle; shared by all jobs that need it."""

    shuffle: ShuffleId


@dataclass(frozen=True, slots=True)
class ResultStage:
    """Key of the stage that computes one job's results."""

    job: JobId


StageKey = MapStage | ResultStage

DEFAULT_POOL = "default"
"""Of jobs that were put into no other."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: tasks `0 ... n_tasks`, and the shuffles that must be complete before any of them can run.

    `hosts` is empty or holds preferred hosts per task. `n_out` is the number of reduce partitions (0 for a result
    stage). `label` is for people. `can_copy` tells whether a slow task may run twice at once. The tasks of a stage that
    `is_barrier` wait for each other: all of them run at the same time, or none. With `has_cached`, tasks may find
    cached what they would else make from `parents`.
    """

    key: StageKey
    parents: tuple[ShuffleId, ...]
    n_tasks: int
    n_out: int = 0
    hosts: tuple[tuple[str, ...], ...] = ()
    label: str = ""
    can_copy: bool = True
    is_barrier: bool = False
    has_cached: bool = False


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job: its result stage and every map stage that it may need, by shuffle.

    Task i of the result stage computes partition `partitions[i]` of the RDD. `pool` is whose share of the executors it
    uses where jobs share them fairly. `passing` are shuffles that nothing but map stages of this job will ever read,
    unless something is lost (`plan/passing.py`).
    """

    job_id: JobId
    partitions: tuple[int, ...] | range
    result: StagePlan
    maps: dict[ShuffleId, StagePlan] = field(default_factory=dict)
    group: str | None = None
    description: str = ""
    pool: str = DEFAULT_POOL
    passing: frozenset[ShuffleId] = frozenset()
