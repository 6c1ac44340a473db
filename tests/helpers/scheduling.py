"""Builders of plans and outcomes, and a scheduler that is told events by hand and checked after each."""

from __future__ import annotations

import math
from typing import Any

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Failure, FetchFailed, InlineResult, MapStatus, Raised, Success
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from rddlite.schedule.core import Scheduler, SchedulerOptions
from rddlite.testing.coverage import CountingTurn
from tests.helpers.matching import of


def map_stage(shuffle: int, n_tasks: int = 2, parents: tuple[int, ...] = (), hosts: Any = ()) -> StagePlan:
    """The stage that writes a shuffle."""
    return StagePlan(MapStage(shuffle), parents, n_tasks, 2, hosts, f"map {shuffle}")


def job(
    job_id: int = 0,
    n_tasks: int = 2,
    *maps: StagePlan,
    parents: tuple[int, ...] | None = None,
    hosts: Any = (),
    group: str | None = None,
) -> JobPlan:
    """A job over these map stages; its result reads the last of them unless `parents` says otherwise."""
    if parents is None:
        parents = (maps[-1].key.shuffle,) if maps else ()
    result = StagePlan(ResultStage(job_id), parents, n_tasks, 0, hosts, f"result {job_id}")
    return JobPlan(job_id, range(n_tasks), result, {plan.key.shuffle: plan for plan in maps}, group, f"job {job_id}")


def raised(record: str | None = None, type_name: str = "ValueError", *, retryable: bool = True) -> Raised:
    """User code raised, always at the same line."""
    return Raised(Failure(type_name, "no", "", "", location="job.py:1", record=record), retryable)


def unreadable(shuffle: int, index: int, place: tuple[str, int]) -> FetchFailed:
    """That map output could not be read."""
    return FetchFailed(shuffle, index, place[0], place[1], "gone")


class Rig:
    """A scheduler, told events by hand. Invariants are checked after every call; `launched` keeps what runs."""

    def __init__(self, *joined: str, slots: int = 2, **options: Any) -> None:
        self.turn = CountingTurn()
        self.scheduler = Scheduler(SchedulerOptions(**{"launch_ahead": 0, "quiet": math.inf, **options}), self.turn)
        self.now = 0.0
        self.launched: dict[int, cmd.Launch] = {}
        self.all_launches: list[cmd.Launch] = []
        for executor in joined:
            self.join(executor, slots=slots)

    def tell(self, *events: ev.Event, after: float = 0.0) -> list[cmd.Command]:
        """Let some time pass, then handle these events together."""
        self.now += after
        commands = self.scheduler.handle_all(events, self.now)
        invariants.check(self.scheduler)
        for launch in of(cmd.Launch, commands):
            self.launched[launch.attempt] = launch
            self.all_launches.append(launch)
        return commands

    def join(self, executor: str, host: str | None = None, slots: int = 2) -> list[cmd.Command]:
        """An executor registers; its host is called like it unless given."""
        return self.tell(ev.ExecutorJoined(executor, host or f"host-{executor}", slots))

    def submit(self, plan: JobPlan) -> list[cmd.Command]:
        """A job begins."""
        return self.tell(ev.JobSubmitted(plan))

    def running(self, key: Any = None) -> list[cmd.Launch]:
        """What was launched and has not been reported, of one stage or of all."""
        return [launch for launch in self.launched.values() if key in (None, launch.key)]

    def ended(self, launch: cmd.Launch, outcome: Any) -> ev.TaskEnded:
        """The report of an attempt."""
        return ev.TaskEnded(launch.executor, launch.attempt, outcome)

    def end(self, launch: cmd.Launch, outcome: Any) -> list[cmd.Command]:
        """An attempt ends in this way."""
        self.launched.pop(launch.attempt, None)
        return self.tell(self.ended(launch, outcome))

    def success_of(self, launch: cmd.Launch) -> Success:
        """What an attempt reports that did its work."""
        if isinstance(launch.key, MapStage):
            return Success(MapStatus(launch.executor, launch.attempt, b"", 1, 1), TaskMetrics())
        return Success(InlineResult(b"%d" % launch.index), TaskMetrics())

    def succeed(self, *launches: cmd.Launch) -> list[cmd.Command]:
        """These attempts do their work, one after another."""
        return [command for launch in launches for command in self.end(launch, self.success_of(launch))]

    def finish(self, key: Any = None) -> list[cmd.Command]:
        """Everything that runs (of one stage), and what is launched for it, succeeds."""
        commands = []
        while launches := self.running(key):
            commands += self.succeed(*launches)
        return commands

    def lose(self, executor: str, cause: str = "signal 9") -> list[cmd.Command]:
        """An executor is lost, with what runs there."""
        self.launched = {each: launch for each, launch in self.launched.items() if launch.executor != executor}
        return self.tell(ev.ExecutorLost(executor, cause))

    def silence(self) -> list[cmd.Command]:
        """Let time pass until the next timer is due."""
        deadline = self.scheduler.next_deadline()
        assert deadline is not None
        assert deadline > self.now
        return self.tell(ev.Tick(), after=deadline - self.now)

    def places(self, shuffle: int) -> tuple[tuple[str, int], ...]:
        """Where the outputs of a complete shuffle are."""
        return self.scheduler.outputs_of(shuffle)[1]
