"""The real executor's loop while its driver and workers say anything at any time: every task meant is run and reported.

Workers are played here, and so is the connection, which breaks and comes back. What is said is valid, as the link lets
nothing else through, but may come twice, late, or without sense.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Killed, Success
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.executor.commands import Spawn
from rddlite.executor.descriptors import Descriptors
from rddlite.executor.loop import ExecutorLoop, Identity
from rddlite.executor.meetings import Meetings
from rddlite.executor.output import OutputLog
from rddlite.executor.pool import UnknownBlob, WorkerGone
from rddlite.net.link import LinkDown, LinkUp
from rddlite.net.messages import (
    PROTOCOL,
    Adopt,
    Blob,
    CopyBlock,
    Forget,
    FromDriver,
    KillTask,
    Message,
    Met,
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
from rddlite.net.wire import decode, encode, pack_outcome, unpack_outcome
from rddlite.testing.clock import ManualClock
from tests.helpers.values import FEW, TEXT, fixed, likely, outcomes, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MOST_TURNS = 2_000
MEANT = [RunTask(1000 + i, 1, i, i, 0, "code", "tables" if i % 2 else "", b"source") for i in range(4)]
MEANT_ATTEMPTS = {task.attempt for task in MEANT}
BLOBS = [Blob("code", b"code"), Blob("tables", b"tables")]


def success(attempt: int) -> bytes:
    return pack_outcome(Success(InlineResult(b"%d" % attempt), TaskMetrics()))


class Workers:
    """Stands in for the pool: workers that start, run, stop and die, one step at a time."""

    def __init__(self, events: deque[ev.Event]) -> None:
        self._events = events
        self._busy: dict[int, int | None] = {}
        self._ahead: dict[int, deque[int]] = {}
        self._todo: deque[ev.Event] = deque()
        self.is_configured = False
        self.last_words = pack_outcome(Killed("stopped"))
        """What workers say when they are stopped."""
        self.meetings = Meetings("0")

    def let_go(self, met: Met) -> None:
        """Nobody of them waits at a barrier."""
        assert self.meetings.answered(met) == []

    def step(self) -> None:
        """The next thing that a worker does."""
        if self._todo:
            self._events.append(self._todo.popleft())
            return
        for worker, attempt in self._busy.items():
            if attempt is not None:
                self._go_on(worker)
                self._events.append(ev.AttemptEnded(worker, attempt, success(attempt)))
                return

    def claim(self, number: int, kind: type[Any], attempt: int, outcome: bytes) -> None:
        """A worker says something that is not so: what user code can write to its channel, or a mistake of the pool."""
        match kind:
            case ev.AttemptEnded if self._busy.get(number) not in MEANT_ATTEMPTS:
                attempt = attempt if self._busy.get(number) is None else self._busy[number]
                self._events.append(ev.AttemptEnded(number, attempt, outcome))
            case ev.WorkerReady:
                self._events.append(ev.WorkerReady(number, attempt))
            case ev.WorkerSettled if self._busy.get(number) is None:
                self._events.append(ev.WorkerSettled(number))

    def die(self) -> None:
        """A worker ends by itself, between tasks."""
        idle = [worker for worker, attempt in self._busy.items() if attempt is None]
        if idle:
            self._end(idle[0])

    def spawn(self, number: int) -> None:
        self._busy[number] = None
        self._ahead[number] = deque()
        self._todo.append(ev.WorkerReady(number, 100 + number))

    def configure(self, body: bytes) -> None:
        json.loads(body)
        self.is_configured = True

    def start(self, number: int, task: RunTask, blobs: Mapping[str, bytes], *, is_ahead: bool) -> None:
        if number not in self._busy:
            raise WorkerGone
        for digest in (task.payload, task.outputs):
            if digest and digest not in blobs:
                raise UnknownBlob(digest)
        if is_ahead and self._busy[number] is not None:
            self._ahead[number].append(task.attempt)
        else:
            self._busy[number] = task.attempt

    def recall(self, number: int) -> None:
        if number in self._busy:
            self._events.append(ev.Recalled(number, self._take_back(number)))

    def flush(self) -> None:
        """Nothing waits to be sent."""

    def forget(self, digests: list[str]) -> None:
        assert all(type(digest) is str for digest in digests)

    def forget_broadcasts(self, broadcasts: list[int]) -> None:
        assert all(type(broadcast) is int for broadcast in broadcasts)

    def forget_caches(self, caches: list[int]) -> None:
        assert all(type(cache) is int for cache in caches)

    def interrupt(self, number: int, attempt: int) -> None:
        if self._busy.get(number) == attempt:
            self._go_on(number)
            self._todo.append(ev.AttemptEnded(number, attempt, self.last_words))

    def settle(self, number: int) -> None:
        self._todo.append(ev.WorkerSettled(number))

    def stop(self, number: int) -> None:
        self._end(number)

    def records(self, number: int) -> int:
        return 0

    def sample(self, running: list[tuple[int, int]], limit: int) -> None:
        pass

    def _go_on(self, number: int) -> None:
        self._busy[number] = self._ahead[number].popleft() if self._ahead[number] else None

    def _take_back(self, number: int) -> tuple[int, ...]:
        unbegun = tuple(self._ahead[number])
        self._ahead[number].clear()
        return unbegun

    def _end(self, number: int) -> None:
        del self._busy[number]
        self._todo.append(ev.WorkerEnded(number, None, 9, 0, "", self._take_back(number)))


class Line:
    """Stands in for the link: takes the next step of the script whenever it is waited for."""

    def __init__(self, clock: ManualClock, workers: Workers, steps: list[tuple[Any, ...]]) -> None:
        self._clock = clock
        self._workers = workers
        self._steps = iter(steps)
        self._is_up = False
        self._turns = 0
        self.said: list[Message] = []
        self._to_executor: list[Message | LinkUp | LinkDown] = []

    def wait(self, timeout: float) -> list[Message | LinkUp | LinkDown]:
        self._turns += 1
        assert self._turns < _MOST_TURNS, "what was meant is not done"
        self._clock.advance(min(timeout, 0.05))
        step = next(self._steps, None)
        if step is not None:
            self._take(step)
        elif not self._is_up:
            self._connect()
        elif self.reported() >= {task.attempt for task in MEANT}:
            self._to_executor.append(Shutdown("all is done"))
        elif self._turns % 50 == 0:
            self._to_executor.append(RunTasks(list(BLOBS), self._missing()))
        else:
            self._workers.step()
        found, self._to_executor = self._to_executor, []
        return [item if isinstance(item, LinkUp | LinkDown) else decode(encode(item), 1 << 30) for item in found]

    def send(self, message: Message) -> bool:
        decode(encode(message))
        if not self._is_up:
            return False
        self.said.append(message)
        match message:
            case Register():
                self._to_executor.append(Registered(json.dumps({})))
            case TasksEnded(_, number, _):
                self._to_executor.append(ReportsSeen(number, number))
        return True

    def reported(self) -> set[int]:
        """Attempts whose end was told."""
        return {r.attempt for message in self.said if isinstance(message, TasksEnded) for r in message.reports}

    def _missing(self) -> list[RunTask]:
        return [task for task in MEANT if task.attempt not in self.reported()]

    def _connect(self) -> None:
        self._is_up = True
        self._to_executor.append(LinkUp())

    def _take(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("say", message) if self._is_up:
                self._to_executor.append(message)
            case ("mean", n) if self._is_up:
                self._to_executor.append(RunTasks(list(BLOBS), MEANT[:n]))
            case ("cut",) if self._is_up:
                self._is_up = False
                self._to_executor.append(LinkDown())
            case ("back",) if not self._is_up:
                self._connect()
            case ("work",):
                self._workers.step()
            case ("die",):
                self._workers.die()
            case ("last words", outcome):
                self._workers.last_words = outcome
            case ("claim", worker, kind, attempt, outcome):
                self._workers.claim(worker, kind, attempt, outcome)


NAMES = st.sampled_from(["0", "9", ""]) | TEXT
NUMBERS = likely(NAMES)
SETTINGS = st.sampled_from(["{}", '{"executor.heartbeat": 0.1}', "", "[]", "{", '{"x": 1}', '{"master": 7}']) | TEXT


def said(kind: Any) -> st.SearchStrategy[Any]:
    return values_of(kind, NUMBERS, attempt=FEW, settings=SETTINGS, payload=NAMES, outputs=OUTPUTS)


OUTPUTS = st.lists(st.lists(NUMBERS[int], min_size=2, max_size=4), max_size=3)
TASKS = values_of(RunTask, NUMBERS, attempt=FEW, payload=NAMES, outputs=NAMES)
MESSAGES = st.one_of(
    st.builds(RunTasks, st.lists(values_of(Blob, NUMBERS), max_size=2), st.lists(TASKS, max_size=3)),
    said(KillTask),
    said(Forget),
    said(Adopt),
    said(CopyBlock),
    said(Met),
    said(Registered),
    said(RegisterAgain),
    said(ReportsSeen),
)
CLAIMS = st.sampled_from([ev.AttemptEnded, ev.WorkerReady, ev.WorkerSettled])
OUTCOMES = outcomes(NUMBERS)
STEPS = st.one_of(
    st.tuples(st.just("say"), MESSAGES),
    st.tuples(st.just("say"), MESSAGES),
    st.tuples(st.just("mean"), st.integers(1, 4)),
    st.tuples(st.just("work")),
    st.tuples(st.just("work")),
    st.tuples(st.just("die")),
    st.tuples(st.just("claim"), st.integers(0, 4), CLAIMS, NUMBERS[int], OUTCOMES),
    st.tuples(st.just("last words"), OUTCOMES),
    st.tuples(st.just("cut")),
    st.tuples(st.just("back")),
)


@pytest.fixture
def descriptors() -> Iterator[Descriptors]:
    descriptors = Descriptors()
    yield descriptors
    descriptors.close()


def start(line: Line, workers: Workers, scratch: Path, clock: ManualClock, descriptors: Any, events: Any) -> Any:
    agent = Agent(2, clock.now())
    for command in agent.start(clock.now()):
        assert isinstance(command, Spawn)
        workers.spawn(command.worker)
    who = Register(PROTOCOL, "0", "host", 1, 2, [], "3", "1", "1", str(scratch), [])
    identity = Identity(who, (os.getpid(),))
    pool: Any = workers
    link: Any = line
    return ExecutorLoop(identity, agent, pool, link, descriptors, OutputLog(1 << 20), events, clock)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "rddlite")


@fixed
@given(st.lists(STEPS, min_size=5, max_size=40))
def test_whatever_the_driver_says_what_it_means_is_done(tmp_path, descriptors, steps) -> None:
    clock, events = ManualClock(100.0), deque()
    workers = Workers(events)
    line = Line(clock, workers, steps)
    left = start(line, workers, tmp_path, clock, descriptors, events).run()
    assert left.why == "all is done"
    for message in line.said:
        for report in message.reports if isinstance(message, TasksEnded) else []:
            outcome = unpack_outcome(report.outcome)
            assert report.attempt < 1000 or outcome == unpack_outcome(success(report.attempt))


def test_every_message_of_a_driver_is_among_those_that_are_tried() -> None:
    tried = {RunTasks, KillTask, Forget, Adopt, CopyBlock, Met, Registered, RegisterAgain, ReportsSeen}
    assert tried | {Refused, Shutdown} == set(FromDriver.__args__)
