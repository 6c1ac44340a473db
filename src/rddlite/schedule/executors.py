"""The executors that belong to the application: state, slots, load, and when their silence becomes too long.

Answers "which executor is least loaded" in constant time: alive executors are kept in one ordered bucket per load level
(level 0: a free slot; level k: k tasks per slot queue there), turned round so that work spreads. Owned by
`tasks.TaskScheduler`. Silence is measured by heartbeats (and registrations) alone, and a suspect's silence goes on
whatever it sends, until it has registered again: so a suspect that cannot come back never stays for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import ClassVar

from rddlite.base.ids import AttemptId, ExecutorId
from rddlite.schedule.commands import ExecutorGone
from rddlite.schedule.states import EXECUTOR_MOVES, ExecutorState, Moves
from rddlite.schedule.taskset import Attempt, TaskSet
from rddlite.schedule.turn import Tracked, Turn

_ALIVE = ExecutorState.ALIVE
REMEMBERED_GONE = 10_000
"""How many lost executors are remembered, to know them when they wake up, and to tell why they are gone."""


class Executor(Tracked):
    """One incarnation of an executor process.

    `load` counts the attempts that occupy it (running or being killed), `attempts` also has strays. `level` is its
    bucket, or None while nothing may be launched there. While `reserved_by` is set it empties for a task that must run
    alone; `is_exclusive` holds from then until that task has ended.
    """

    __slots__ = ("attempts", "deadline", "host", "id", "is_exclusive", "level", "load", "reserved_by", "slots")
    kind: ClassVar[str] = "executor"
    moves: ClassVar[Moves] = EXECUTOR_MOVES

    def __init__(self, executor_id: ExecutorId, host: str, slots: int) -> None:
        super().__init__(ExecutorState.JOINING)
        self.id = executor_id
        self.host = host
        self.slots = max(1, slots)
        self.deadline = 0.0
        self.attempts: dict[AttemptId, Attempt] = {}
        self.load = 0
        self.level: int | None = None
        self.reserved_by: TaskSet | None = None
        self.is_exclusive = False

    def title(self) -> str:
        """Which executor this is."""
        return f"executor {self.id} on {self.host}"


class ExecutorTable:
    """All executors that are alive or suspect, and what became of those that are gone."""

    def __init__(self, turn: Turn, launch_ahead: int, silence: float) -> None:
        self._turn = turn
        self._silence = silence
        self.members: dict[ExecutorId, Executor] = {}
        self.gone: dict[ExecutorId, ExecutorGone] = {}
        self.levels: tuple[OrderedDict[ExecutorId, Executor], ...] = tuple(
            OrderedDict() for _ in range(launch_ahead + 1)
        )
        self._by_silence: OrderedDict[ExecutorId, Executor] = OrderedDict()
        self.alive_hosts: dict[str, int] = {}
        self.n_alive = 0
        self.n_slots = 0
        self.version = 0

    # Membership

    def join(self, executor_id: ExecutorId, host: str, slots: int) -> Executor:
        """A new executor, alive."""
        executor = self.members[executor_id] = Executor(executor_id, host, slots)
        self._enter(executor)
        return executor

    def suspect(self, executor: Executor) -> None:
        """Nothing is launched there until it returns."""
        self._turn.move(executor, ExecutorState.SUSPECT)
        self._leave(executor)

    def restore(self, executor: Executor) -> None:
        """A suspect is alive again."""
        self._enter(executor)

    def remove(self, executor: Executor, gone: ExecutorGone) -> None:
        """Gone for good."""
        was_alive = executor.state is ExecutorState.ALIVE
        self._turn.move(executor, ExecutorState.GONE)
        if was_alive:
            self._leave(executor)
        del self.members[executor.id]
        del self._by_silence[executor.id]
        self.bury(gone)

    def bury(self, gone: ExecutorGone) -> None:
        """Remember that this executor is gone, should it ever say something. What was known first stays."""
        self.gone.setdefault(gone.executor, gone)
        if len(self.gone) > REMEMBERED_GONE:
            del self.gone[next(iter(self.gone))]

    # Silence

    def heard(self, executor: Executor) -> None:
        """A sign of life: its silence starts anew."""
        executor.deadline = self._turn.now + self._silence
        self._by_silence[executor.id] = executor
        self._by_silence.move_to_end(executor.id)

    def excuse(self, seconds: float) -> None:
        """Silence of that length was not the executors' fault."""
        for executor in self._by_silence.values():
            executor.deadline += seconds

    def next_silence(self) -> float | None:
        """When the executor that was silent longest is lost."""
        for executor in self._by_silence.values():
            return executor.deadline
        return None

    def silent(self) -> list[Executor]:
        """Executors whose silence has become too long."""
        late = []
        for executor in self._by_silence.values():
            if not self._turn.now >= executor.deadline:
                break
            late.append(executor)
        return late

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
        for level in self.levels:
            for executor in level.values():
                return executor
        return None

    def reservable(self) -> Executor | None:
        """The executor that will be empty soonest, as far as can be told."""
        candidates = (each for each in self._alive() if not each.is_exclusive)
        return min(candidates, key=lambda each: each.load, default=None)

    def _alive(self) -> Iterator[Executor]:
        return (each for each in self.members.values() if each.state is ExecutorState.ALIVE)

    def _place(self, executor: Executor) -> bool:
        """Put the executor into the bucket of its load; True if it was there already."""
        old, level = executor.level, self._level_of(executor)
        if level == old:
            return True
        if old is not None:
            del self.levels[old][executor.id]
        if level is not None:
            self.levels[level][executor.id] = executor
        executor.level = level
        return False

    def _level_of(self, executor: Executor) -> int | None:
        if executor.is_exclusive or executor.state is not _ALIVE:
            return None
        level = executor.load // executor.slots
        return level if level < len(self.levels) else None

    def _enter(self, executor: Executor) -> None:
        self._turn.move(executor, ExecutorState.ALIVE)
        self.heard(executor)
        self.alive_hosts[executor.host] = self.alive_hosts.get(executor.host, 0) + 1
        self.n_alive += 1
        self.n_slots += executor.slots
        self.version += 1
        self._place(executor)

    def _leave(self, executor: Executor) -> None:
        """No longer alive: out of the buckets and the counts, and not waited for by a task that must run alone."""
        if executor.reserved_by is not None:
            executor.reserved_by = None
            executor.is_exclusive = False
        self._place(executor)
        self.alive_hosts[executor.host] -= 1
        if not self.alive_hosts[executor.host]:
            del self.alive_hosts[executor.host]
        self.n_alive -= 1
        self.n_slots -= executor.slots
        self.version += 1
