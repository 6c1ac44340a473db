"""The executors that belong to the application: state, slots, load, and when their silence becomes too long.

Answers "which executor is least loaded" in constant time: usable executors (alive and not excluded) are kept in one
ordered bucket per load level (level 0: a free slot; level k: k tasks per slot queue there), turned round so that work
spreads. Owned by `tasks.TaskScheduler`. Silence is measured by heartbeats (and registrations) alone: a short one makes
suspect, a long one is loss. A suspect's silence goes on whatever it sends, until it has registered again: so a suspect
that cannot come back never stays for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from itertools import takewhile
from typing import ClassVar

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.schedule.commands import ExecutorGone
from rddlite.schedule.options import DEEPER, SchedulerOptions
from rddlite.schedule.states import EXECUTOR_MOVES, ExecutorState, Moves
from rddlite.schedule.taskset import Attempt, TaskSet
from rddlite.schedule.turn import Tracked, Turn

REMEMBERED_GONE = 10_000
"""How many lost executors are remembered, to know them when they wake up, and to tell why they are gone."""


class Executor(Tracked):
    """One incarnation of an executor process.

    `load` counts the attempts that occupy it (running or being killed), `attempts` also has strays. `is_usable` while
    it is alive and not `is_excluded`. `level` is its bucket, or None while nothing may be launched there. While
    `reserved_by` is set it empties for a task that must run alone; `is_exclusive` holds from then until that task has
    ended. `is_leaving` once it wanted to leave. `quiet_at` and `deadline` are when its silence makes it suspect, and
    lost.
    """

    __slots__ = (
        "attempts", "deadline", "host", "id", "is_excluded", "is_exclusive", "is_leaving", "is_usable", "level",
        "load", "quiet_at", "reserved_by", "slots",
    )  # fmt: skip
    kind: ClassVar[str] = "executor"
    moves: ClassVar[Moves] = EXECUTOR_MOVES

    def __init__(self, executor_id: ExecutorId, host: str, slots: int) -> None:
        super().__init__(ExecutorState.JOINING)
        self.id = executor_id
        self.host = host
        self.slots = max(1, slots)
        self.quiet_at = self.deadline = 0.0
        self.attempts: dict[AttemptId, Attempt] = {}
        self.load = 0
        self.level: int | None = None
        self.reserved_by: TaskSet | None = None
        self.is_exclusive = False
        self.is_excluded = False
        self.is_leaving = False
        self.is_usable = False

    def title(self) -> str:
        """Which executor this is."""
        return f"executor {self.id} on {self.host}"


class ExecutorTable:
    """All executors that are alive, suspect or draining, and what became of those that are gone.

    `n_usable`, `n_slots` and `usable_hosts` count usable executors. `version` rises with every change of a
    state. The lowest `n_levels` of `levels` are in use: what queues shall keep slots busy until the driver has heard
    and answered, and where there are many slots it cannot launch one task for each in that time. Levels below `lowest`
    are empty.
    """

    def __init__(self, turn: Turn, options: SchedulerOptions) -> None:
        self._turn = turn
        self._quiet = options.quiet
        self._silence = options.silence
        self.enough_ahead = options.enough_ahead
        self.members: dict[ExecutorId, Executor] = {}
        self.gone: dict[ExecutorId, ExecutorGone] = {}
        self.levels: tuple[OrderedDict[ExecutorId, Executor], ...] = tuple(
            OrderedDict() for _ in range(DEEPER * options.launch_ahead + 1)
        )
        self.n_levels = len(self.levels)
        self.lowest = 0
        self._by_silence: OrderedDict[ExecutorId, Executor] = OrderedDict()
        self._by_quiet: OrderedDict[ExecutorId, Executor] = OrderedDict()
        self.usable_hosts: dict[str, int] = {}
        self.n_usable = 0
        self.n_slots = 0
        self.version = 0
        self._limit_levels()

    # Membership

    def join(self, executor_id: ExecutorId, host: str, slots: int) -> Executor:
        """A new executor, alive."""
        executor = self.members[executor_id] = Executor(executor_id, host, slots)
        self._turn.move(executor, ExecutorState.ALIVE)
        self.heard(executor)
        self._settle(executor)
        return executor

    def suspect(self, executor: Executor) -> None:
        """Nothing is launched there until it returns."""
        self._turn.move(executor, ExecutorState.SUSPECT)
        del self._by_quiet[executor.id]
        self._settle(executor)

    def restore(self, executor: Executor) -> None:
        """A suspect is as it was before."""
        self._turn.move(executor, ExecutorState.DRAINING if executor.is_leaving else ExecutorState.ALIVE)
        self.heard(executor)
        self._settle(executor)

    def drain(self, executor: Executor) -> None:
        """It wants to leave: nothing is launched there any more."""
        executor.is_leaving = True
        if executor.state is ExecutorState.ALIVE:
            self._turn.move(executor, ExecutorState.DRAINING)
            self._settle(executor)

    def exclude(self, executor: Executor) -> None:
        """Nothing is launched there until it is readmitted."""
        executor.is_excluded = True
        self._settle(executor)

    def readmit(self, executor: Executor) -> None:
        """It is not excluded any more."""
        executor.is_excluded = False
        self._settle(executor)

    def remove(self, executor: Executor, gone: ExecutorGone) -> None:
        """Gone for good."""
        self._turn.move(executor, ExecutorState.GONE)
        self._settle(executor)
        del self.members[executor.id]
        del self._by_silence[executor.id]
        self._by_quiet.pop(executor.id, None)
        self.bury(gone)

    def bury(self, gone: ExecutorGone) -> None:
        """Remember that this executor is gone, should it ever say something. What was known first stays."""
        self.gone.setdefault(gone.executor, gone)
        if len(self.gone) > REMEMBERED_GONE:
            del self.gone[next(iter(self.gone))]

    # Silence

    def heard(self, executor: Executor) -> None:
        """A sign of life of one that is not suspect: its silence starts anew."""
        executor.quiet_at = self._turn.now + self._quiet
        executor.deadline = self._turn.now + self._silence
        for order in (self._by_quiet, self._by_silence):
            order[executor.id] = executor
            order.move_to_end(executor.id)

    def excuse(self, seconds: float) -> None:
        """Silence of that length was not the executors' fault."""
        for executor in self._by_silence.values():
            executor.quiet_at += seconds
            executor.deadline += seconds

    def next_silence(self) -> float | None:
        """When the executor that was silent longest becomes suspect, or is lost."""
        for silent in self._by_silence.values():
            for quiet in self._by_quiet.values():
                return quiet.quiet_at if quiet.quiet_at < silent.deadline else silent.deadline
            return silent.deadline
        return None

    def silent(self) -> list[Executor]:
        """Executors whose silence has become too long."""
        return list(takewhile(lambda each: self._turn.now >= each.deadline, self._by_silence.values()))

    def quiet(self) -> list[Executor]:
        """Executors, not suspect yet, of which nothing has been heard for a while."""
        return list(takewhile(lambda each: self._turn.now >= each.quiet_at, self._by_quiet.values()))

    # Load

    def occupy(self, executor: Executor) -> None:
        """One more attempt is there; its turn among its equals is over."""
        executor.load += 1
        if self._place(executor) and executor.level is not None:
            self.levels[executor.level].move_to_end(executor.id)

    def release(self, executor: Executor) -> None:
        """One attempt less is there."""
        executor.load -= 1
        self._place(executor)

    def reserve(self, executor: Executor, tasks: TaskSet) -> None:
        """Launch nothing more there: it empties for a task of `tasks` that must run alone."""
        executor.is_exclusive = True
        executor.reserved_by = tasks
        self._place(executor)

    def unreserve(self, executor: Executor) -> None:
        """Others may be launched there again."""
        executor.is_exclusive = False
        executor.reserved_by = None
        self._place(executor)

    def least_loaded(self) -> Executor | None:
        """The executor whose turn it is, on the lowest level that has one; None when all are full."""
        levels = self.levels
        for i in range(self.lowest, self.n_levels):
            for executor in levels[i].values():
                self.lowest = i
                return executor
        self.lowest = self.n_levels
        return None

    def least_loaded_besides(self, others: Collection[ExecutorId]) -> Executor | None:
        """The same, of those that are not among these few."""
        for level in self.levels:
            for executor in level.values():
                if executor.id not in others:
                    return executor
        return None

    def has_usable_besides(self, others: Collection[ExecutorId]) -> bool:
        """Whether any executor is usable that is not among these few (each named once)."""
        found = (self.members.get(each) for each in others)
        return self.n_usable > sum(1 for each in found if each is not None and each.is_usable)

    def reservable(self, others: Collection[ExecutorId] = ()) -> Executor | None:
        """The executor that will be empty soonest, as far as can be told; of equals one that is not among `others`."""
        candidates = (each for each in self.usable() if not each.is_exclusive)
        return min(candidates, key=lambda each: (each.load, each.id in others), default=None)

    def usable(self) -> Iterator[Executor]:
        """Executors on which something may be launched, in the order in which they joined."""
        return (each for each in self.members.values() if each.is_usable)

    def _place(self, executor: Executor) -> bool:
        """Put the executor into the bucket of its load; True if it was there already."""
        old, level = executor.level, self._level_of(executor)
        if level == old:
            return True
        if old is not None:
            del self.levels[old][executor.id]
        if level is not None:
            self.levels[level][executor.id] = executor
            if level < self.lowest:
                self.lowest = level
        executor.level = level
        return False

    def _level_of(self, executor: Executor) -> int | None:
        if executor.is_exclusive or not executor.is_usable:
            return None
        level = executor.load // executor.slots
        return level if level < self.n_levels else None

    def _settle(self, executor: Executor) -> None:
        """Its state has changed: count it among the usable ones, or take it out of the buckets and the counts."""
        self.version += 1
        is_usable = executor.state is ExecutorState.ALIVE and not executor.is_excluded
        if is_usable == executor.is_usable:
            return
        executor.is_usable = is_usable
        n_hosts = self.usable_hosts.get(executor.host, 0) + (1 if is_usable else -1)
        if n_hosts:
            self.usable_hosts[executor.host] = n_hosts
        else:
            del self.usable_hosts[executor.host]
        self.n_usable += 1 if is_usable else -1
        self.n_slots += executor.slots if is_usable else -executor.slots
        if not is_usable and executor.reserved_by is not None:  # a task that must run alone does not wait for it
            executor.reserved_by = None
            executor.is_exclusive = False
        self._place(executor)
        self._limit_levels()

    def _limit_levels(self) -> None:
        """Let no more queue than the driver could launch meanwhile, but one task per slot anyway."""
        n_levels = min(len(self.levels), 1 + max(1, self.enough_ahead // max(1, self.n_slots)))
        if n_levels != self.n_levels:
            self.n_levels = n_levels
            for executor in self.members.values():
                self._place(executor)
