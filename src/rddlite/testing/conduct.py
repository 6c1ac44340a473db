"""The referee's book of what executors did wrong: who may be excluded, and where a failed task may be tried again."""

from __future__ import annotations

from dataclasses import dataclass, field

from rddlite.base.ids import ExecutorId
from rddlite.plan.model import StageKey
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.members import ROUNDING, Foul, Members

Task = tuple[StageKey, int]


@dataclass
class Failure:
    """Where attempts of one task failed; `at` is when one last did, if that is why the task waits now.

    It is vague once the scheduler may not have charged what was reported: it may just have wanted the attempt no more.
    """

    executors: list[ExecutorId] = field(default_factory=list)
    at: float | None = None
    is_vague: bool = False


class Conduct:
    """Failures by task and by executor. Where the order within a batch would matter, it looks away."""

    def __init__(self, options: SchedulerOptions, members: Members) -> None:
        self._options = options
        self._members = members
        self._failures: dict[Task, Failure] = {}
        self._charged: dict[ExecutorId, set[Task]] = {}
        self._excluded: dict[ExecutorId, float] = {}
        self.ever_excluded: set[ExecutorId] = set()

    def failed(self, task: Task, executor: ExecutorId, now: float, *, waits: bool, is_certain: bool) -> None:
        """An attempt failed, and this was counted, if that is certain. The task `waits` if it was the only one."""
        failure = self._failures.setdefault(task, Failure())
        failure.is_vague |= not is_certain
        if failure.is_vague:
            failure.at = None
            self._charged.setdefault(executor, set()).add(task)
            self._excluded.clear()
            return
        failure.at = now if waits else None
        if executor in failure.executors:
            return
        failure.executors.append(executor)
        if len(failure.executors) == 1:
            self._charged.setdefault(executor, set()).add(task)
            return
        for each in failure.executors:
            self._take_back(each, {task})

    def acquit(self, key: StageKey) -> None:
        """A job failed because of a task of this stage."""
        for executor, tasks in self._charged.items():
            self._take_back(executor, {task for task in tasks if task[0] == key})

    def stage_ended(self, key: StageKey | None) -> None:
        """What happened to the tasks of this stage may be of no account any more, or the stage may go on later."""
        for task, failure in self._failures.items():
            if task[0] == key:
                failure.is_vague = True
                failure.at = None

    def exclude(self, executor: ExecutorId, seconds: float, now: float, *, is_certain: bool) -> None:
        """The scheduler says that it excludes an executor."""
        self.ever_excluded.add(executor)
        if not is_certain:
            self._excluded.clear()
            return
        self.after(besides=executor)
        charged = self._charged.get(executor, ())
        if not self._options.exclude or len(charged) < self._options.exclude_after - 0.5:
            raise Foul(f"executor {executor} was excluded for {len(charged)} failures")
        self._excluded[executor] = now + seconds

    def after(self, besides: ExecutorId | None = None) -> None:
        """If all executors were excluded some time (this one just now), some of them may have to be used."""
        alive = {each for each, state in self._members.state.items() if state == "alive"}
        if alive <= self.ever_excluded:
            for executor in self._excluded.keys() - {besides}:
                del self._excluded[executor]

    def launched(self, task: Task, executor: ExecutorId, now: float, *, is_alone: bool) -> None:
        """An attempt of this task is launched there."""
        self.after()
        if now < self._excluded.get(executor, 0.0) - ROUNDING:
            raise Foul(f"a launch on executor {executor}, which was excluded until {self._excluded[executor]}")
        failure = self._failures.get(task)
        if failure is None:
            return
        is_soon = failure.at is not None and now < failure.at + self._options.retry_wait - ROUNDING
        if is_soon and executor in failure.executors and not is_alone:
            assert failure.at is not None
            others = self._members.alive_since_before(failure.at) - {*failure.executors, *self.ever_excluded}
            if others:
                raise Foul(f"a retry of {task} on executor {executor}, where it failed, instead of {sorted(others)}")
        failure.at = None

    def _take_back(self, executor: ExecutorId, tasks: set[Task]) -> None:
        charged = self._charged.get(executor)
        if charged is not None and charged & tasks:
            charged -= tasks
            self._excluded.pop(executor, None)
