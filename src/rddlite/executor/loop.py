"""The executor's I/O shell: one thread that drives the agent.

It waits in one poll for the driver, the workers, the zygote, the end of its driver and signals; nothing is polled by
sleeping. In each turn everything that is ready is handled, and what is to be said goes out at the end: output before
the reports of the tasks that wrote it, several reports in one message.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rddlite.base.cached import News as BlockNews
from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import AttemptId, BroadcastId, ShuffleData, ShuffleId
from rddlite.base.log import logger
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Failure, Raised
from rddlite.executor import commands as cmd
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.executor.channel import HIGHEST_ATTEMPT
from rddlite.executor.descriptors import Descriptors
from rddlite.executor.env import result_path
from rddlite.executor.holdings import EVERYBODY, blocks_changed
from rddlite.executor.memory import resident, worker_limit
from rddlite.executor.outbox import Outbox
from rddlite.executor.output import OutputLog
from rddlite.executor.pool import Pool, UnknownBlob, WorkerGone
from rddlite.net.link import Link, LinkDown, LinkRefused, LinkUp, News
from rddlite.net.messages import (
    Adopt,
    AttemptReport,
    CopyBlock,
    Draining,
    ExecutorAlive,
    Forget,
    KillTask,
    Leaving,
    Message,
    Met,
    Refused,
    Register,
    RegisterAgain,
    Registered,
    ReportsSeen,
    RunTasks,
    Shutdown,
)
from rddlite.net.wire import pack_outcome
from rddlite.shared.held import remove_broadcast
from rddlite.shuffle.format import remove_attempt, remove_unfinished
from rddlite.shuffle.spares import drop, retire

if TYPE_CHECKING:  # executors of a single host do not load it
    from rddlite.executor.adoption import Adopter

_SAMPLE_EVERY = 0.1
_OUTPUT_EVERY = 0.05
_REPORTS_EVERY = 0.004
_LAST_MESSAGE = 0.5
_NEWS_AFTER = 2.0
"""Seconds after which whoever waits for this executor to join is told what is in its way."""
_SPARES_KEPT = 5.0
"""Seconds after which files that were kept to be written over are deleted."""
_log = logger("executor")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this executor is: a registration without what changes, the processes that are no workers, the keys (as text)
    with which workers are admitted by block servers of other hosts, and its memory where that was said at its start.
    """

    register: Register
    own_pids: tuple[int, ...]
    keys: str = field(default="", repr=False)
    memory: int | None = None


class ExecutorLoop:
    """Runs until the agent says `Exit`. `events` is where the pool puts what happened to workers."""

    def __init__(
        self,
        identity: Identity,
        agent: Agent,
        pool: Pool,
        link: Link,
        descriptors: Descriptors,
        output: OutputLog,
        events: deque[ev.Event],
        clock: Clock,
        adopter: Adopter | None = None,
    ) -> None:
        self._identity = identity
        self._adopter = adopter
        self._executor = identity.register.executor
        self._slots = identity.register.slots
        self._scratch = identity.register.scratch
        self._agent = agent
        self._pool = pool
        self._link = link
        self._descriptors = descriptors
        self._output = output
        self._events = events
        self._clock = clock
        self._outbox = Outbox(self._executor)
        self._blobs: dict[str, bytes] = {}
        self._memory_limit = 0
        self._heartbeat = 1.0
        self._spares_until: float | None = None
        self._broken_off: set[int] = set()
        self._heartbeat_at = clock.now()
        self._sample_at = clock.now()
        self._output_at: float | None = None
        self._reports_at: float | None = None
        self._due_at = clock.now()
        self._news_at: float | None = clock.now() + _NEWS_AFTER
        self._left: cmd.Exit | None = None
        self._table: dict[type[Any], Callable[[Any], None]] = {
            cmd.Spawn: lambda command: pool.spawn(command.worker),
            cmd.Start: self._start,
            cmd.Recall: lambda command: pool.recall(command.worker),
            cmd.Interrupt: lambda command: pool.interrupt(command.worker, command.attempt),
            cmd.Settle: lambda command: pool.settle(command.worker),
            cmd.StopWorker: lambda command: pool.stop(command.worker),
            cmd.Report: self._report,
            cmd.Register: self._register,
            cmd.ForgetBlocks: lambda command: pool.forget_blocks(command.worker, command.blocks),
            cmd.TellBlocks: self._tell_blocks,
            cmd.AskToLeave: self._ask_to_leave,
            cmd.Exit: self._exit,
        }

    def run(self) -> cmd.Exit:
        """The loop; returns why it ended."""
        while self._left is None:
            if pause := self._agent.pause:
                self._link.pause(pause)
            for item in self._link.wait(self._timeout()):
                self._receive(item)
            self._descriptors.dispatch()
            if self._adopter is not None:
                for answer in self._adopter.answers():
                    if isinstance(answer, BlockNews):
                        self._events.append(ev.BlocksChanged(EVERYBODY, answer))
                    else:
                        self._link.send(answer)
            self._handle_events()
            self._keep_time()
            self._handle_events()
            self._speak()
        return self._left

    # Events and commands

    def _handle_events(self) -> None:
        events = self._events
        while events:
            for command in self._agent.handle(events.popleft(), self._clock.now()):
                self._table[type(command)](command)
        self._pool.flush()

    def _start(self, command: cmd.Start) -> None:
        try:
            self._pool.start(command.worker, command.task, self._blobs, is_ahead=command.is_ahead)
        except WorkerGone:
            self._events.appendleft(ev.NotStarted(command.worker, command.task.attempt))
        except UnknownBlob as error:
            text = f"executor {self._executor} was never sent {error} or has forgotten it"
            failure = Failure("rddlite.errors.InternalError", text, text, text)
            outcome = pack_outcome(Raised(failure, True, TaskMetrics()))
            self._events.append(ev.AttemptEnded(command.worker, command.task.attempt, outcome))

    def _register(self, command: cmd.Register) -> None:
        who = self._identity.register
        attempts = sorted({*command.attempts, *self._outbox.attempts()})
        self._link.send(
            Register(
                who.protocol, who.executor, who.host, who.pid, who.slots, self._agent.worker_pids(),
                who.python, who.rddlite, who.cloudpickle, who.scratch, attempts, who.address, who.token,
            )
        )  # fmt: skip

    def _tell_blocks(self, command: cmd.TellBlocks) -> None:
        self._link.send(blocks_changed(self._executor, command.news, is_all=command.is_all))

    def _ask_to_leave(self, command: cmd.AskToLeave) -> None:
        self._link.send(Draining(self._executor, command.why))

    def _exit(self, command: cmd.Exit) -> None:
        self._left = command

    # What the driver says

    def _receive(self, message: Message | News) -> None:
        match message:
            case RunTasks(blobs, tasks):
                for blob in blobs:
                    self._blobs[blob.digest] = blob.data
                self._events.append(ev.Assigned(tuple(task for task in tasks if 0 <= task.attempt <= HIGHEST_ATTEMPT)))
            case KillTask(attempt, why):
                self._events.append(ev.KillAsked(attempt, why))
            case Forget():
                self._forget(message)
            case ReportsSeen():
                for again in self._outbox.seen(message):
                    self._link.send(again)
            case Met():
                self._pool.let_go(message)
            case Adopt() | CopyBlock():
                if self._adopter is not None:
                    self._adopter.adopt(message)
            case Registered():
                settings = _settings(message.settings)
                if settings is not None:
                    self._configure(settings, message)
            case LinkUp():
                self._events.append(ev.Connected())
            case LinkDown():
                self._events.append(ev.Disconnected())
            case RegisterAgain(_):
                self._events += (ev.Disconnected(), ev.Connected())
            case LinkRefused(why):
                self._events.append(ev.LeaveAsked(why, is_failure=True))
            case Refused(why):
                self._events.append(ev.LeaveAsked(f"the driver refused this executor: {why}", is_failure=True))
            case Shutdown(why):
                self._events.append(ev.LeaveAsked(why))
            case _:
                _log.warning("the driver sent a %s, which is nothing for an executor", type(message).__name__)

    def _configure(self, settings: Settings, answer: Registered) -> None:
        self._memory_limit = worker_limit(settings, self._slots, self._identity.memory)
        self._heartbeat = settings["executor.heartbeat"]
        self._heartbeat_at = min(self._heartbeat_at, self._clock.now() + self._heartbeat)
        self._output.limit(settings["output.rateLimit"])
        if not self._pool.is_configured:
            told = {
                "settings": settings.given,
                "memory_limit": self._memory_limit,
                "keys": self._identity.keys,
                "driver": [answer.address, answer.scratch, answer.token],
            }
            self._pool.configure(json.dumps(told).encode())
            _log.info("executor %s has joined", self._executor)
        self._news_at = None
        for report in self._outbox.unseen():
            self._link.send(report)
        self._pool.meetings.say_again()
        self._events.append(
            ev.Accepted(settings["task.killGrace"], settings["executor.silence"], settings["cache.wait"])
        )

    def _report(self, report: cmd.Report) -> None:
        if report.is_own:
            self._remove_result(AttemptId(report.attempt))
            self._broken_off.add(report.attempt)
        self._outbox.add(AttemptReport(report.attempt, report.outcome))

    def _remove_result(self, attempt: AttemptId) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(result_path(self._scratch, attempt))

    def _forget(self, message: Forget) -> None:
        for digest in message.digests:
            self._blobs.pop(digest, None)
        self._pool.forget(message.digests)
        for shuffle in message.shuffles:
            if retire(self._scratch, ShuffleId(shuffle)):
                self._spares_until = self._clock.now() + _SPARES_KEPT
        for shuffle, map_index, attempt in (row for row in message.outputs if len(row) == 3):
            remove_attempt(self._scratch, ShuffleData(ShuffleId(shuffle), map_index, AttemptId(attempt)))
        for attempt in message.results:
            self._remove_result(AttemptId(attempt))
        for broadcast in message.broadcasts:
            remove_broadcast(self._scratch, BroadcastId(broadcast))
        self._pool.forget_broadcasts(message.broadcasts)
        if message.cached:
            if self._adopter is not None:
                self._adopter.forget_caches(message.cached)
            self._pool.forget_caches(message.cached)

    # Time, and what is said

    def _timeout(self) -> float:
        now = self._clock.now()
        due = [self._heartbeat_at]
        deadline = self._agent.next_deadline()
        if deadline is not None:
            due.append(deadline)
        if self._agent.is_busy:
            due.append(self._sample_at)
        if self._output_at is not None:
            due.append(self._output_at)
        due += [each for each in (self._reports_at, self._news_at) if each is not None]
        self._due_at = min(due)
        return max(0.0, self._due_at - now)

    def _keep_time(self) -> None:
        """Do what is due. What became due in this very turn is seen in the next."""
        now = self._clock.now()
        if now < self._due_at:
            return
        if self._agent.is_busy and now >= self._sample_at:
            self._pool.sample(self._agent.running_workers(), self._memory_limit)
            self._sample_at = self._clock.now() + _SAMPLE_EVERY
        if self._news_at is not None and now >= self._news_at:
            self._news_at = None
            why = self._link.trouble or "it is connected, but the driver has not answered"
            _log.info("executor %s has not joined yet, and goes on trying: %s", self._executor, why)
        deadline = self._agent.next_deadline()
        if deadline is not None and now >= deadline:
            self._events.append(ev.Tick())
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + self._heartbeat
            if self._agent.is_enrolled:
                self._link.send(self._alive(now))
            if self._spares_until is not None and now >= self._spares_until:
                self._spares_until = None
                drop(self._scratch)
            if self._broken_off:  # those of a second together: whole jobs are cancelled
                remove_unfinished(self._scratch, self._broken_off)
                self._broken_off.clear()

    def _alive(self, now: float) -> ExecutorAlive:
        pids = self._agent.worker_pids()
        memory = sum(map(resident, [*self._identity.own_pids, *pids]))
        records = self._pool.records
        running = [
            [attempt, pid, seconds, records(worker)] for worker, attempt, pid, seconds in self._agent.running(now)
        ]
        return ExecutorAlive(self._executor, memory, pids, running, self._outbox.last_number)

    def _speak(self) -> None:
        if not self._agent.is_enrolled:
            return
        reports = [] if self._can_reports_wait() else self._outbox.messages()
        if not self._output.is_empty:
            self._send_output(is_urgent=bool(reports))
        for report in reports:
            self._link.send(report)
        for meet in self._pool.meetings.unsent():
            self._link.send(meet)

    def _can_reports_wait(self) -> bool:
        """Reports travel together, for a moment, while every worker that becomes idle finds a task here anyway: then
        the driver has nothing to do with them yet, and a message for each would cost more than the tasks themselves.
        """
        if not self._outbox.n_new or self._left is not None or self._agent.n_waiting < 2 * self._slots:
            self._reports_at = None
            return False
        now = self._clock.now()
        if self._reports_at is None:
            self._reports_at = now + _REPORTS_EVERY
        if now < self._reports_at:
            return True
        self._reports_at = None
        return False

    def _send_output(self, *, is_urgent: bool) -> None:
        now = self._clock.now()
        if self._output_at is None:
            self._output_at = now + _OUTPUT_EVERY
        if is_urgent or now >= self._output_at:
            self._output_at = None
            while not self._output.is_empty:
                self._link.send(self._output.take(self._executor))

    def say_goodbye(self) -> None:
        """Tell the driver, if it still listens, and close the connection."""
        self._speak()
        if self._left is not None and self._agent.is_enrolled:
            self._link.send(Leaving(self._executor, self._left.why))
        self._link.close(linger=_LAST_MESSAGE)


def _settings(text: str) -> Settings | None:
    """The application's settings as they came; None if they cannot be read, which is told."""
    try:
        given = json.loads(text)
        if type(given) is dict:
            return Settings(given)
    except (ValueError, RecursionError):
        pass
    _log.error("the driver's settings cannot be read: %.200s", text)
    return None
