"""The referee's book of barrier stages: which of them were broken, how often, and which wait for slots since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rddlite.base.ids import StageId
from rddlite.plan.model import StageKey, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule.options import SchedulerOptions
from rddlite.testing.members import ROUNDING, Foul, Members
from rddlite.testing.plays import Plays


class Gangs:
    """`shattered` are the stages of which a task, or an output, was lost in this batch."""

    def __init__(self, options: SchedulerOptions, members: Members, plays: Plays) -> None:
        self._options = options
        self._members = members
        self._plays = plays
        self._n_broken: Counter[StageKey] = Counter()
        self._since: dict[StageId, tuple[float, int]] = {}
        self._launched: dict[StageKey, list[cmd.Launch]] = {}
        self.shattered: set[StageKey] = set()

    def begin(self) -> None:
        """A batch begins."""
        self.shattered.clear()
        self._launched.clear()

    def shatter(self, key: StageKey) -> None:
        """A task or an output of this stage is no more."""
        if key not in self.shattered:
            self.shattered.add(key)
            self._n_broken[key] += 1

    def launched(self, launch: cmd.Launch) -> None:
        """One of its tasks is about to be launched."""
        if self._plays.load(launch.executor) >= self._members.slots(launch.executor):
            raise Foul(f"{launch} has to wait, and others of its barrier stage for it")
        self._launched.setdefault(launch.key, []).append(launch)

    def waits(self, note: cmd.GangWaits, now: float) -> None:
        """The scheduler says that there are too few slots."""
        if note.needed <= note.there:
            raise Foul(f"{note}, which is enough")
        self._since[note.stage] = now, note.needed

    def stage_ended(self, stage: StageId) -> None:
        """It does not wait any more, nor run."""
        self._since.pop(stage, None)

    def delayed(self, seconds: float) -> None:
        """The driver was late by that much."""
        self._since = {stage: (since + seconds, n) for stage, (since, n) in self._since.items()}

    def is_any_waiting(self) -> bool:
        """Whether a stage waits for slots that are not there."""
        return bool(self._since)

    def deadlines(self) -> Iterator[float]:
        """When stages will have waited long enough."""
        there = sum(self._members.slots(each) for each, state in self._members.state.items() if state == "alive")
        for since, needed in self._since.values():
            if needed > there:
                yield since + self._options.barrier_wait

    def has_broken_enough(self, key: StageKey) -> bool:
        """Whether the stage was broken as often as it may be."""
        return self._n_broken[key] >= self._options.stage_max_attempts

    def lacks_slots(self, cause: cmd.TooFewSlots, plan: StagePlan, now: float) -> bool:
        """Whether there were too few slots for long enough."""
        if cause.needed != plan.n_tasks or cause.needed <= cause.there:
            return False
        if not cause.waited:
            return cause.there == self._options.most_slots
        since, _ = self._since.get(cause.stage, (now, 0))
        return now >= since + self._options.barrier_wait - ROUNDING

    def after(self, notes: Sequence[cmd.GangStarted], plans: dict[StageKey, StagePlan]) -> None:
        """The batch is judged: whatever was launched was launched together, to free slots."""
        told = {attempt for note in notes for attempt in note.attempts}
        for key, launches in self._launched.items():
            if sorted(each.index for each in launches) != list(range(plans[key].n_tasks)):
                raise Foul(
                    f"{len(launches)} of {plans[key].n_tasks} tasks of barrier stage {key} are launched together"
                )
            if told.isdisjoint(each.attempt for each in launches):
                raise Foul(f"barrier stage {key} starts without a word")
            self._since.pop(launches[0].stage, None)
