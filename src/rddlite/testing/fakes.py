"""Executors of the simulator: slots, a queue of tasks, map outputs that they hold, and reports not yet received.

A fake executor does what it is told and what the fault plan has in store for it. It knows nothing of the scheduler; it
speaks through the cluster, which delays, loses and repeats what is said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import FetchFailed, InlineResult, Killed, MapStatus, Success, TaskOutcome
from rddlite.plan.model import MapStage
from rddlite.schedule.commands import Launch

Table = tuple[tuple[ExecutorId, AttemptId], ...]
Tables = tuple[tuple[ShuffleId, Table | None], ...]
"""The outputs of each shuffle that a task reads; None of one that it is said not to need."""
Held = tuple[ShuffleId, int, AttemptId]
_LOOK_AGAIN = 0.25
_NOT_TOLD = ExecutorId(""), AttemptId(0)


@dataclass
class FakeTask:
    """One attempt at an executor. `fate` replaces its success; a `hung` one never ends by itself; one with a `mood`
    gives other records than others. It takes `seconds` from when it `started`, and reads `records` on the way.
    """

    launch: Launch
    tables: Tables
    inputs: list[int] = field(default_factory=list)
    has_read: bool = False
    is_running: bool = False
    is_hung: bool = False
    started: float = 0.0
    seconds: float = 0.0
    records: int = 0
    fate: TaskOutcome | None = None
    reports_success_anyway: bool = False
    mood: int = 0


def fingerprint(value: int) -> bytes:
    """The fingerprint of a map output."""
    return (value & (1 << 64) - 1).to_bytes(8, "little")


class World(Protocol):
    """What an executor needs of the cluster around it."""

    now: float

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something after some time."""

    def report(self, executor: FakeExecutor, attempt: AttemptId, outcome: TaskOutcome) -> None:
        """Tell the driver how an attempt ended."""

    def begin(self, executor: FakeExecutor, task: FakeTask) -> None:
        """Decide what becomes of an attempt that starts now, and how long it takes."""

    def has_met(self, task: FakeTask) -> bool:
        """Whether all have begun that this attempt waits for."""

    def make(self, task: FakeTask) -> int:
        """What an attempt makes of what it has read."""

    def find(self, executor: ExecutorId, held: Held) -> int | str:
        """Read a map output of any executor: its contents, or why that is impossible."""

    def cached(self, task: FakeTask, shuffle: ShuffleId) -> list[int] | None:
        """What is kept of what an attempt would read, if anything."""

    def keep(self, task: FakeTask, shuffle: ShuffleId, values: list[int]) -> None:
        """This is what it has read: a cached RDD may be made of it."""


class FakeExecutor:
    """One incarnation of an executor process."""

    def __init__(self, world: World, executor_id: ExecutorId, host: str, slots: int) -> None:
        self._world = world
        self.id = executor_id
        self.host = host
        self.slots = slots
        self.is_alive = True
        self.is_connected = True
        self.is_accepted = False
        self.is_leaving = False
        self.waiting: deque[FakeTask] = deque()
        self.tasks: dict[AttemptId, FakeTask] = {}
        self.held: dict[Held, int] = {}
        self.corrupt: set[Held] = set()
        self.unseen: dict[AttemptId, TaskOutcome] = {}

    def run(self, task: FakeTask) -> None:
        """A launch has arrived."""
        self.tasks[task.launch.attempt] = task
        self.waiting.append(task)
        if self.is_leaving:
            self._end(task, Killed("this executor leaves"))
        else:
            self._fill_slots()

    def leave(self) -> None:
        """Begin nothing more: what waits is given back, what runs goes on."""
        self.is_leaving = True
        for task in list(self.waiting):
            self._end(task, Killed("this executor leaves"))

    def kill(self, attempt: AttemptId) -> None:
        """A kill has arrived. What is unknown or has ended is no matter."""
        task = self.tasks.get(attempt)
        if task is None:
            return
        if task.reports_success_anyway and task.has_read:
            self._succeed(task)
        else:
            self._end(task, Killed("on request"))

    def attempts(self) -> frozenset[AttemptId]:
        """What it has to tell when it registers again."""
        return frozenset(self.tasks) | frozenset(self.unseen)

    def progress(self) -> tuple[tuple[AttemptId, float, int], ...]:
        """How far everything is that runs: attempt, seconds, records."""
        return tuple(
            (attempt, self._world.now - task.started, self._records_of(task))
            for attempt, task in self.tasks.items()
            if task.is_running
        )

    def _records_of(self, task: FakeTask) -> int:
        share = min(1.0, (self._world.now - task.started) / task.seconds)
        return int(task.records * min(share, 0.5 if task.is_hung else 1.0))

    def end_process(self) -> None:
        """The process is gone with everything it held."""
        self.is_alive = self.is_connected = False
        self.waiting.clear()
        self.tasks.clear()
        self.held.clear()
        self.unseen.clear()

    def release(self, shuffle: ShuffleId, before: AttemptId) -> None:
        """Map outputs of earlier attempts are to be deleted."""
        for each in [each for each in self.held if each[0] == shuffle and each[2] < before]:
            del self.held[each]

    def read(self, held: Held) -> int | str:
        """One map output, or why it cannot be read."""
        if not self.is_alive:
            return "connection refused"
        if held in self.corrupt:
            return "checksum does not match"
        return self.held.get(held, "no such file")

    def _fill_slots(self) -> None:
        n_running = sum(1 for task in self.tasks.values() if task.is_running)
        while self.waiting and n_running < self.slots:
            task = self.waiting.popleft()
            task.is_running = True
            n_running += 1
            task.started = self._world.now
            self._world.begin(self, task)
            self._world.later(task.seconds / 2, partial(self._read_inputs, task))
            self._world.later(task.seconds, partial(self._finish, task))

    def _is_here(self, task: FakeTask) -> bool:
        return self.is_alive and self.tasks.get(task.launch.attempt) is task

    def _read_inputs(self, task: FakeTask) -> None:
        if not self._is_here(task):
            return
        for shuffle, places in task.tables:
            values = self._world.cached(task, shuffle)
            if values is None:
                values = []
                for index, (holder, attempt) in enumerate((_NOT_TOLD,) if places is None else places):
                    found = self._world.find(holder, (shuffle, index, attempt)) if holder else "what was cached is gone"
                    if isinstance(found, str):
                        self._end(task, FetchFailed(shuffle, index, holder, attempt, found))
                        return
                    values.append(found)
                self._world.keep(task, shuffle, values)
            task.inputs += values
        task.has_read = True

    def _finish(self, task: FakeTask) -> None:
        if not self._is_here(task) or task.is_hung:
            return
        if task.fate is not None:
            self._end(task, task.fate)
        elif not self._world.has_met(task):
            self._world.later(_LOOK_AGAIN, partial(self._finish, task))
        else:
            self._succeed(task)

    def _succeed(self, task: FakeTask) -> None:
        launch = task.launch
        value = self._world.make(task)
        metrics = TaskMetrics(seconds=task.seconds, records_read=task.records)
        if isinstance(launch.key, MapStage):
            self.held[launch.key.shuffle, launch.index, launch.attempt] = value
            sizes = bytes([value % 41, value % 43])
            status = MapStatus(self.id, launch.attempt, sizes, 8, 1, fingerprint(value))
            self._end(task, Success(status, metrics))
        else:
            self._end(task, Success(InlineResult(str(value).encode()), metrics))

    def _end(self, task: FakeTask, outcome: TaskOutcome) -> None:
        del self.tasks[task.launch.attempt]
        if not task.is_running:
            self.waiting.remove(task)
        self.unseen[task.launch.attempt] = outcome
        self._world.report(self, task.launch.attempt, outcome)
        self._fill_slots()
