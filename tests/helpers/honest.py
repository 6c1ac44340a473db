"""A driver's loop in the test's own thread, with executors that do what they are told, and time that the test moves.

Tasks compute nothing: a map output is a note of which partition it is, and the value of a result task is what it found
written on the outputs that its tables name. So a job's answer is right only if the driver sent every reader to the
right files. `Company.wait`, which the loop calls in every turn, lets the test's script take one step.
"""

from __future__ import annotations

import sys
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rddlite.base.config import Settings
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import FetchFailed, InlineResult, MapStatus, Success, TaskOutcome
from rddlite.driver import reception
from rddlite.driver.console import Console
from rddlite.driver.jobs import JobHandle
from rddlite.driver.loop import Call, DriverLoop, Submission
from rddlite.driver.readiness import Readiness
from rddlite.driver.reception import Home
from rddlite.driver.roster import Roster
from rddlite.driver.stages import StageBlobs
from rddlite.lineage.consumers import Count
from rddlite.net.inbox import Inbox
from rddlite.net.messages import (
    PROTOCOL,
    Adopt,
    Adopted,
    AttemptReport,
    ExecutorAlive,
    KillTask,
    Leaving,
    Message,
    Refused,
    Register,
    RegisterAgain,
    Registered,
    ReportsSeen,
    RunTask,
    RunTasks,
    Shutdown,
    TasksEnded,
)
from rddlite.net.wire import decode, encode, pack_outcome
from rddlite.observe.status import StatusStore
from rddlite.schedule.core import Scheduler
from rddlite.schedule.options import SchedulerOptions
from rddlite.serde.closures import cloudpickle_version
from rddlite.serde.records import encode_object
from rddlite.shuffle.locations import decode_tables
from rddlite.testing.clock import ManualClock
from rddlite.version import __version__
from tests.helpers.scheduling import job, map_stage

if TYPE_CHECKING:
    from collections.abc import Callable

SHUFFLE, N_MAPS, N_RESULTS = 0, 3, 3
RIGHT = [(index, list(range(N_MAPS))) for index in range(N_RESULTS)]
_MOST_TURNS = 5_000
_BEAT = 0.5
_LONGEST_WAIT = 0.25


@dataclass(frozen=True)
class Piece:
    """A payload whose content nobody looks at."""

    has_cached = False

    digest: str
    data: bytes = b"code"

    def piece(self, index: int) -> Piece:
        return self

    def sources_of(self, index: int) -> bytes:
        return b"map" if self.digest.startswith("map") else b"result"


@dataclass
class Executor:
    """What an honest executor does. `said` is all that it ever said; `waiting` what it has
    been told to run and did not."""

    name: str
    is_connected: bool = True
    has_left: bool = False
    is_registered: bool = False
    waiting: deque[RunTask] = field(default_factory=deque)
    blobs: dict[str, bytes] = field(default_factory=dict)
    said: list[Message] = field(default_factory=list)
    unseen: list[TasksEnded] = field(default_factory=list)
    n_reports: int = 0

    def register(self) -> Register:
        python = ".".join(map(str, sys.version_info[:3]))
        attempts = [task.attempt for task in self.waiting] + [r.attempt for t in self.unseen for r in t.reports]
        return Register(
            PROTOCOL, self.name, f"host-{self.name}", 1, 2, [], python, __version__, cloudpickle_version(),
            f"/nowhere/{self.name}", attempts,
        )  # fmt: skip

    def alive(self) -> ExecutorAlive:
        running = [[task.attempt, 1, 0.5, 10] for task in self.waiting]
        return ExecutorAlive(self.name, 1, [1], running, self.n_reports)

    def ended(self, attempt: int, outcome: TaskOutcome) -> TasksEnded:
        self.n_reports += 1
        self.unseen.append(TasksEnded(self.name, self.n_reports, [AttemptReport(attempt, pack_outcome(outcome))]))
        return self.unseen[-1]


class Fleet:
    """Provider and transport at once. Others may join if it `is_open`; they do nothing. `step` is called once in each
    turn, and may say and do anything.
    """

    join_command = None

    def __init__(self, names: str, clock: ManualClock, is_open: bool) -> None:
        self.executors = {name: Executor(name) for name in names}
        self.told: defaultdict[str, set[int]] = defaultdict(set)
        """Attempts that the driver told each name of."""
        self._is_open = is_open
        self.clock = clock
        self.files: dict[tuple[str, int], int] = {}
        self.step: Callable[[], None] = lambda: None
        self.disconnects = 0
        self._to_driver: list[tuple[str, Message]] = []
        self._beat_at = clock.now()
        self._turns = 0

    # Transport

    def wait(self, timeout: float | None) -> list[tuple[str, Message]]:
        self._turns += 1
        assert self._turns < _MOST_TURNS, "the job does not end"
        self.clock.advance(min(_LONGEST_WAIT, _LONGEST_WAIT if timeout is None else timeout))
        if self.clock.now() >= self._beat_at:
            self._beat_at = self.clock.now() + _BEAT
            self.live()
        self.step()
        messages, self._to_driver = self._to_driver, []
        return messages

    def send(self, peer: str, message: Message) -> bool:
        message = decode(encode(message), 1 << 30)
        if isinstance(message, RunTasks):
            self.told[peer] |= {task.attempt for task in message.tasks}
        executor = self.executors.get(peer)
        if executor is None:
            return self._is_open  # to those who joined, and hear nothing and do nothing
        if not executor.is_connected or executor.has_left:
            return False
        self._hear(executor, message)
        return True

    def take_disconnects(self) -> int:
        taken, self.disconnects = self.disconnects, 0
        return taken

    # Provider

    def start(self, post: Any) -> None:
        pass

    def want(self) -> None:
        pass

    def stop(self, executor: str) -> None:
        if executor in self.executors:
            self.executors[executor].has_left = True

    def objection(self, executor: str, n_others: int) -> str | None:
        known = self.executors.get(executor)
        if known is None:
            return None if self._is_open else "not one of this fleet"
        return "it has left" if known.has_left else None

    def suspect(self, executor: str, address: str) -> None:
        pass

    def unsuspect(self, executor: str) -> None:
        pass

    def leaving(self, executor: str) -> None:
        pass

    def close(self) -> None:
        pass

    # What honest executors do

    def inject(self, peer: str, message: Message) -> None:
        """Whatever anybody might say, as the hub hands it over."""
        self._to_driver.append((peer, decode(encode(message), 1 << 30)))

    def say(self, executor: Executor, message: Message) -> None:
        executor.said.append(message)
        if executor.is_connected and not executor.has_left:
            self.inject(executor.name, message)

    def reconnect(self, executor: Executor) -> None:
        """Its connection broke and is back."""
        self.disconnects += 1
        self.say(executor, executor.register())

    def work(self, executor: Executor) -> None:
        """Run the task that waits longest, and tell how it ended."""
        if executor.waiting and executor.is_registered and not executor.has_left:
            task = executor.waiting.popleft()
            self.say(executor, executor.ended(task.attempt, self._run(executor, task)))

    def live(self) -> None:
        """Everybody shows a sign of life; those that the driver does not know yet introduce themselves."""
        for executor in self.executors.values():
            self.say(executor, executor.alive() if executor.is_registered else executor.register())

    def _hear(self, executor: Executor, message: Message) -> None:
        match message:
            case Registered():
                executor.is_registered = True
                for report in executor.unseen:
                    self.say(executor, report)
            case RunTasks(blobs, tasks):
                executor.blobs |= {blob.digest: blob.data for blob in blobs}
                executor.waiting.extend(tasks)
            case KillTask(attempt):
                executor.waiting = deque(task for task in executor.waiting if task.attempt != attempt)
            case ReportsSeen(number, of):
                executor.unseen = [report for report in executor.unseen if report.number > number]
                for report in executor.unseen:
                    if report.number <= of:
                        self.say(executor, report)
            case RegisterAgain():
                self.say(executor, executor.register())
            case Adopt(source, _, outputs):
                self.say(executor, self._adopt(executor, source, outputs))
            case Refused() | Shutdown():
                self.say(executor, Leaving(executor.name, "told to"))
                executor.has_left = True

    def _adopt(self, executor: Executor, source: str, outputs: list[list[int]]) -> Adopted:
        here = []
        for shuffle, map_index, attempt in outputs:
            if not self.executors[source].has_left and (source, attempt) in self.files:
                self.files[executor.name, attempt] = self.files[source, attempt]
                here.append([shuffle, map_index, attempt])
        return Adopted(executor.name, source, here, "" if len(here) == len(outputs) else "the rest is gone")

    def _run(self, executor: Executor, task: RunTask) -> TaskOutcome:
        assert executor.blobs[task.payload] == b"code"
        if task.partition == b"map":
            self.files[executor.name, task.attempt] = task.partition_index
            return Success(MapStatus(executor.name, task.attempt, b"\1\1", 1, 1), TaskMetrics())
        found = []
        for index, place in enumerate(decode_tables(executor.blobs[task.outputs])[SHUFFLE]):
            written = self.files.get((place.executor, place.attempt))
            if written is None or self.executors[place.executor].has_left:
                return FetchFailed(SHUFFLE, index, place.executor, place.attempt, "there is no such file")
            found.append(written)
        value = (task.partition_index, found)
        data = b"".join(bytes(piece) for piece in encode_object(value))
        return Success(InlineResult(data), TaskMetrics())


class Stage:
    """A driver's loop over a fleet, and the jobs that it is given."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.clock = ManualClock(100.0)
        self.fleet = Fleet("012", self.clock, is_open)
        settings = Settings({"debug.checkInvariants": True})
        scheduler = Scheduler(SchedulerOptions.from_settings(settings, 4))
        self.printed: list[tuple[str, str]] = []
        console = Console(lambda stream, text: self.printed.append((stream, text)))
        roster = Roster()
        company = reception.Company(
            self.fleet, self.fleet, roster, StageBlobs(scheduler.outputs_of, roster.place), console, Readiness(0), None
        )
        self._console = console
        self._inbox = Inbox()
        self._status = StatusStore()
        self.loop = DriverLoop(settings, scheduler, company, Home(), self._inbox, self._status, self.clock)
        self._n_jobs = 0

    def run(self, script: Callable[[], bool]) -> list[Any]:
        """The values of one job. In every turn `script` takes a step, until it says False; then work is done."""
        handle = self._submit()

        def step() -> None:
            if not script():
                for executor in self.fleet.executors.values():
                    self.fleet.work(executor)
            if handle.is_done:
                self.loop.post(Call(self.loop.stop))

        self.fleet.step = step
        self.loop.run()
        self.loop.executors()
        self._status.jobs(self.clock.now())
        return handle.values()

    def close(self) -> None:
        self._console.close()
        self._inbox.close()

    def _submit(self) -> JobHandle:
        plan = job(self._n_jobs, N_RESULTS, map_stage(SHUFFLE, N_MAPS))
        self._n_jobs += 1
        handle = JobHandle(plan.job_id, N_RESULTS, Count(), threading.Condition())
        payloads: Any = {key: Piece(str(key)) for key in [plan.result.key]}
        payloads |= {stage.key: Piece(f"map{stage.key}") for stage in plan.maps.values()}
        self.loop.post(Submission(plan, payloads, handle))
        return handle
