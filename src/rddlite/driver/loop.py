"""The driver's I/O shell: one thread that turns messages into events, and the scheduler's commands into messages.

It owns the `Scheduler` and everything else that changes with it. User threads reach it through the inbox only. A
command that cannot be carried out comes back as an event; nothing here decides anything about jobs. Frames that have
arrived are always handled before a timer may fire, and time in which this thread was starved is nobody's silence.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId
from rddlite.base.log import logger
from rddlite.base.outcome import StoredResult, Success
from rddlite.base.units import show_bytes
from rddlite.driver.console import Console
from rddlite.driver.jobs import JobHandle
from rddlite.driver.payloads import Payload
from rddlite.driver.provider import ExecutorEnded, ExecutorProvider, ProviderGaveUp, Transport
from rddlite.driver.results import claim, discard
from rddlite.driver.roster import Roster
from rddlite.driver.stages import StageBlobs
from rddlite.driver.verdict import verdict
from rddlite.driver.versions import mismatch
from rddlite.errors import ContextStopped, RemoteProtocolError, ResultTooLarge
from rddlite.net.inbox import Inbox
from rddlite.net.messages import (
    ExecutorAlive,
    Forget,
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
    WorkerOutput,
)
from rddlite.net.wire import unpack_outcome
from rddlite.observe.status import StatusStore
from rddlite.plan.model import JobPlan, MapStage, StageKey
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.core import Scheduler
from rddlite.schedule.invariants import check

_LATE = 1.0
_log = logger("driver")


@dataclass(frozen=True, slots=True)
class Submission:
    """A job on its way to the loop: its plan, the payloads of its stages, and who waits for it."""

    plan: JobPlan
    payloads: dict[StageKey, Payload]
    handle: JobHandle


@dataclass(frozen=True, slots=True)
class Call:
    """Something to be done by the loop thread, which owns the state it touches."""

    work: Callable[[], None]


class DriverLoop:
    """Runs until `Stop` is posted. Everything below `run` is called by the loop thread only."""

    def __init__(
        self,
        settings: Settings,
        scheduler: Scheduler,
        transport: Transport,
        inbox: Inbox,
        provider: ExecutorProvider,
        status: StatusStore,
        console: Console,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._is_checked = settings["debug.checkInvariants"]
        self._transport = transport
        self._inbox = inbox
        self._provider = provider
        self._status = status
        self._console = console
        self._clock = clock
        self.roster = Roster()
        self._blobs = StageBlobs(scheduler.outputs_of, self.roster.scratch)
        self._jobs: dict[JobId, JobHandle] = {}
        self._job_keys: dict[JobId, StageKey] = {}
        self._is_stopping = False
        self.has_begun, self.has_ended = threading.Event(), threading.Event()
        self._ready = threading.Event()
        self._failed_start: str | None = None
        self._perform_table: dict[type[Any], Callable[[Any], None]] = {
            cmd.Launch: self._launch,
            cmd.Kill: self._kill,
            cmd.DeliverResult: self._deliver,
            cmd.JobDone: self._job_done,
            cmd.JobFailed: self._job_failed,
            cmd.ForgetShuffle: self._forget_shuffle,
            cmd.ForgetOutput: self._forget_output,
            cmd.DropExecutor: self._drop_executor,
            cmd.WantExecutors: lambda command: self._provider.want(),
        }
        self._launches: dict[ExecutorId, list[RunTask]] = {}
        self._unsent: dict[ExecutorId, list[Any]] = {}
        self._feedback: list[ev.Event] = []
        self._unclaimed: dict[str, StoredResult] = {}

    # Any thread

    def post(self, item: Any) -> None:
        """Hand an event, a submission, a provider's event or a call to the loop."""
        self._inbox.post(item)

    def wait_ready(self, timeout: float) -> bool:
        """Wait until the first executor registered (or none can be started: see `failed_start`)."""
        return self._ready.wait(timeout)

    @property
    def failed_start(self) -> str | None:
        """Why no executor could be started, if so."""
        return self._failed_start

    # The loop thread

    def run(self) -> None:
        """The loop; the target of its thread."""
        self.has_begun.set()
        try:
            while not self._is_stopping:
                self._turn()
        except Exception as error:
            failure = error
            _log.exception("the driver's loop failed; all jobs fail with it")
            self._end_jobs(lambda job: _internal(job, failure))
        finally:
            self.has_ended.set()
            for item in self._inbox.drain():
                if isinstance(item, Submission):
                    self._jobs[item.plan.job_id] = item.handle
            self._end_jobs(lambda job: ContextStopped(f"the context was stopped while job {job} was running"))
            self._close()

    def _turn(self) -> None:
        deadline = self._scheduler.next_deadline()
        now = self._clock.now()
        messages = self._transport.wait(None if deadline is None else max(0.0, deadline - now))
        woke = self._clock.now()
        events: list[ev.Event] = []
        if deadline is not None and woke - max(deadline, now) > _LATE:
            events.append(ev.DriverDelayed(woke - max(deadline, now)))
        for item in self._inbox.drain():
            self._take(item, events)
        for peer, message in messages:
            self._receive(peer, message, events)
        if deadline is not None and woke >= deadline:
            events.append(ev.Tick())
        while events:
            self._perform(self._scheduler.handle_all(events, self._clock.now()))
            if self._is_checked:
                check(self._scheduler)
            events, self._feedback = self._feedback, []
        self._discard_unclaimed()

    def _take(self, item: Any, events: list[ev.Event]) -> None:
        match item:
            case Submission(plan, payloads, handle):
                self._submit(plan, payloads, handle, events)
            case Call(work):
                work()
            case ExecutorEnded(executor, cause):
                self._lost(executor)
                if not self._ready.is_set():
                    self._failed_start = f"{cause} before it was ready; its own output says why"
                    self._ready.set()
                events.append(ev.ExecutorLost(executor, cause))
            case ProviderGaveUp(why):
                self._failed_start = why
                self._ready.set()
                events.append(ev.ProviderFailed(why))
            case None:
                pass  # a transport that only wakes the loop
            case _:
                events.append(item)

    def _submit(
        self, plan: JobPlan, payloads: dict[StageKey, Payload], handle: JobHandle, events: list[ev.Event]
    ) -> None:
        for key, payload in payloads.items():
            stage = plan.maps[key.shuffle] if isinstance(key, MapStage) else plan.result
            self._blobs.add(key, payload, stage.parents, None if isinstance(key, MapStage) else plan.partitions)
        self._jobs[plan.job_id] = handle
        self._job_keys[plan.job_id] = plan.result.key
        self._status.job_started(plan, self._clock.now())
        events.append(ev.JobSubmitted(plan))

    # Messages

    def _receive(self, peer: str, message: Message, events: list[ev.Event]) -> None:
        executor = ExecutorId(peer)
        match message:
            case TasksEnded(_, number, reports) if executor in self.roster:
                self.roster.reported(executor, number)
                for report in reports:
                    self._task_ended(executor, AttemptId(report.attempt), report.outcome, events)
            case ExecutorAlive() if self.roster.is_suspect(executor):
                self._transport.send(executor, RegisterAgain("a message to it was lost"))
            case ExecutorAlive() if executor in self.roster:
                self.roster.heard(message)
                events.append(ev.Heartbeat(executor))
                self._send(executor, ReportsSeen(self.roster.reports_seen(executor), message.reports))
            case WorkerOutput() if executor in self.roster:
                self._console.show(message)
            case Register():
                self._register(executor, message, events)
            case Leaving(_, why) if executor in self.roster:
                self._lost(executor)
                events.append(ev.ExecutorLost(executor, why))
            case _:
                _log.debug("ignored %s from %s", type(message).__name__, peer)

    def _register(self, executor: ExecutorId, message: Register, events: list[ev.Event]) -> None:
        why = mismatch(message)
        if why is None and (message.executor != executor or not self._provider.knows(executor)):
            why = f"executor {message.executor} does not belong to this application"
        if why is not None:
            _log.error("refused executor %s: %s", message.executor, why)
            self._transport.send(executor, Refused(why))
            if self._provider.knows(executor) and not self._ready.is_set():
                self._failed_start = why
                self._ready.set()
            return
        is_new = self.roster.join(message)
        self._transport.send(executor, Registered(json.dumps(self._settings.given)))
        if is_new:
            events.append(ev.ExecutorJoined(executor, message.host, message.slots))
            self._ready.set()
        else:
            self._blobs.forget_executor(executor)
            events.append(ev.ExecutorReturned(executor, frozenset(map(AttemptId, message.attempts))))

    def _task_ended(self, executor: ExecutorId, attempt: AttemptId, packed: bytes, events: list[ev.Event]) -> None:
        try:
            outcome = unpack_outcome(packed)
        except RemoteProtocolError as error:
            # What else it sends cannot be trusted either. Its end is noticed, and handled, as any other.
            _log.error("executor %s is ended: it sent an outcome that cannot be read: %s", executor, error)
            self._provider.stop(executor)
            return
        is_news = self.roster.ended(executor, attempt)
        if isinstance(outcome, Success) and isinstance(outcome.value, StoredResult):
            if not is_news:
                return  # the same file, which may have a reader by now
            value = claim(outcome.value)
            if value is None:
                _log.info("executor %s is ended: the result in %s is gone", executor, outcome.value.path)
                self._provider.stop(executor)
                return
            self._unclaimed[value.path] = value
            outcome = Success(value, outcome.metrics)
        events.append(ev.TaskEnded(executor, attempt, outcome))

    def _discard_unclaimed(self) -> None:
        """Delete the files of results that nobody wanted: of attempts that lost a race, and of ended jobs."""
        if self._unclaimed:
            for value in self._unclaimed.values():
                discard(value)
            self._unclaimed.clear()

    # Commands

    def _perform(self, commands: Sequence[cmd.Command]) -> None:
        now = self._clock.now()
        for command in commands:
            self._status.observe(command, now)
            action = self._perform_table.get(type(command))
            if action is not None:
                action(command)
        self._send_launches()

    def _launch(self, launch: cmd.Launch) -> None:
        if launch.executor not in self.roster:
            return
        blobs, task = self._blobs.task(launch)
        self._unsent.setdefault(launch.executor, []).extend(blobs)
        self._launches.setdefault(launch.executor, []).append(task)
        self.roster.launched(launch)

    def _send_launches(self) -> None:
        if self._launches:
            launches, unsent = self._launches, self._unsent
            self._launches, self._unsent = {}, {}
            for executor, tasks in launches.items():
                self._send(executor, RunTasks(unsent[executor], tasks))

    def _send(self, executor: ExecutorId, message: Message) -> None:
        if executor in self.roster and not self._transport.send(executor, message):
            self.roster.suspect(executor)
            self._blobs.forget_executor(executor)
            self._feedback.append(ev.ExecutorSuspected(executor, f"{type(message).__name__} could not be sent"))

    def _kill(self, kill: cmd.Kill) -> None:
        # What is still waiting to be sent must be there before it can be killed.
        self._send_launches()
        self._send(kill.executor, KillTask(kill.attempt, kill.why))

    def _deliver(self, result: cmd.DeliverResult) -> None:
        handle = self._jobs.get(result.job_id)
        if handle is None:
            return
        if isinstance(result.value, StoredResult):
            self._unclaimed.pop(result.value.path, None)
        size = handle.deliver(result.index, result.value)
        limit = self._settings["driver.maxResultSize"]
        if limit and size > limit:
            handle.finish(
                ResultTooLarge(
                    f"the results of job {result.job_id} are larger than driver.maxResultSize: {show_bytes(size)} so "
                    f"far, of {show_bytes(limit)} allowed; {ResultTooLarge.ADVICE}"
                )
            )
            self._feedback.append(ev.JobCancelled(result.job_id, "its results are too large"))

    def _job_done(self, done: cmd.JobDone) -> None:
        self._forget_job(done.job_id, None)

    def _job_failed(self, failed: cmd.JobFailed) -> None:
        self._forget_job(failed.job_id, verdict(failed.job_id, failed.cause))

    def _forget_job(self, job_id: JobId, error: Exception | None) -> None:
        handle = self._jobs.pop(job_id, None)
        if handle is not None:
            self._forget_blobs([self._job_keys.pop(job_id)], [])
            handle.finish(error)

    def _forget_shuffle(self, command: cmd.ForgetShuffle) -> None:
        self._forget_blobs([MapStage(command.shuffle)], [command.shuffle])

    def _forget_blobs(self, keys: list[StageKey], shuffles: list[ShuffleId]) -> None:
        digests = sorted(self._blobs.forget(keys))
        for executor in self.roster.ids():
            self._send(executor, Forget(digests, list(shuffles), [], [], []))

    def _forget_output(self, command: cmd.ForgetOutput) -> None:
        self._send(command.executor, Forget([], [], [[command.shuffle, command.map_index, command.attempt]], [], []))

    def _drop_executor(self, command: cmd.DropExecutor) -> None:
        self._send(command.executor, Shutdown(command.why))
        self._lost(command.executor)
        self._provider.stop(command.executor)

    def _lost(self, executor: ExecutorId) -> None:
        self.roster.leave(executor)
        self._blobs.forget_executor(executor)

    # The end

    def stop(self) -> None:
        """End the loop; called by the loop thread through `Call`."""
        self._is_stopping = True

    def _end_jobs(self, error_of: Callable[[JobId], Exception]) -> None:
        for job_id, handle in list(self._jobs.items()):
            handle.finish(error_of(job_id))
        self._jobs.clear()
        self._ready.set()

    def _close(self) -> None:
        for executor in self.roster.ids():
            self._transport.send(executor, Shutdown("the context was stopped"))
        self._provider.close()
        self._transport.close()


def _internal(job_id: JobId, error: Exception) -> Exception:
    failure = RuntimeError(f"job {job_id} failed because the driver's loop failed: {error!r}")
    failure.__cause__ = error
    return failure
