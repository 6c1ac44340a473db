"""Jobs and stages as `dag` keeps them: records without behaviour."""

from __future__ import annotations

from typing import ClassVar

from rddlite.base.ids import JobId, ShuffleId, StageId
from rddlite.plan.model import JobPlan, MapStage, StagePlan
from rddlite.schedule.commands import LostInput
from rddlite.schedule.states import JOB_MOVES, STAGE_MOVES, JobState, Moves, StageState
from rddlite.schedule.taskset import TaskSet
from rddlite.schedule.turn import Tracked


class Job(Tracked):
    """One unfinished job. `deadline` is set while no executor is there: when it then fails. `readers` are the shuffles
    that are made from each of those that only pass.
    """

    __slots__ = ("deadline", "id", "plan", "readers", "result", "waiting_since")
    kind: ClassVar[str] = "job"
    moves: ClassVar[Moves] = JOB_MOVES

    def __init__(self, plan: JobPlan, result: Stage) -> None:
        super().__init__(JobState.RUNNING)
        self.id = plan.job_id
        self.plan = plan
        self.result = result
        self.waiting_since = 0.0
        self.deadline: float | None = None
        self.readers: dict[ShuffleId, list[ShuffleId]] = {}
        for shuffle, stage in plan.maps.items() if plan.passing else ():
            for parent in plan.passing.intersection(stage.parents).difference(plan.result.parents):
                self.readers.setdefault(parent, []).append(shuffle)

    def title(self) -> str:
        """Which job this is."""
        return f"job {self.id}"


class Stage(Tracked):
    """One stage of one or more unfinished jobs.

    `users` are the jobs that have it in their plan. `dependents` are the active stages that read its output, by id: a
    map stage is active only while it has some. `missing` are the parents' shuffles that are not complete and that it is
    not spared, kept up to date while the stage is active. `tasks` exists from its first start until it is complete or
    not needed any more. `attempt` counts its starts; `blamed` is the last attempt that a lost input was charged to;
    `setbacks` are the lost inputs for which attempts failed since the last success of any of its tasks.

    The rest is for `sparing`, while the stage is active: `spared` are parents that need not be complete; `distrusted`
    those that never may be spared again; `question` is the number of one that is open, or 0. `is_answered` until what
    follows from an answer was done; `is_doubted` when it is to be asked again.
    """

    __slots__ = (
        "attempt", "blamed", "dependents", "distrusted", "id", "is_answered", "is_doubted", "missing", "plan",
        "question", "setbacks", "shuffle", "spared", "tasks", "users",
    )  # fmt: skip
    kind: ClassVar[str] = "stage"
    moves: ClassVar[Moves] = STAGE_MOVES

    def __init__(self, stage_id: StageId, plan: StagePlan) -> None:
        super().__init__(StageState.IDLE)
        self.id = stage_id
        self.plan = plan
        self.shuffle: ShuffleId | None = plan.key.shuffle if isinstance(plan.key, MapStage) else None
        self.users: dict[JobId, None] = {}
        self.dependents: dict[StageId, Stage] = {}
        self.missing: dict[ShuffleId, None] = {}
        self.tasks: TaskSet | None = None
        self.attempt = -1
        self.blamed = -1
        self.setbacks: list[LostInput] = []
        self.spared: dict[ShuffleId, None] = {}
        self.distrusted: dict[ShuffleId, None] = {}
        self.question = 0
        self.is_answered = self.is_doubted = False

    def title(self) -> str:
        """Which stage this is."""
        return f"stage {self.id} ({self.plan.key})"

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state is StageState.WAITING or self.state is StageState.RUNNING
