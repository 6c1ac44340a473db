"""The driver's I/O shell: one thread that turns messages into events, and the scheduler's commands into messages.

It owns the `Scheduler` and everything else that changes with it. User threads reach it through the inbox only. A
command that cannot be carried out comes back as an event; nothing here decides anything about jobs. Frames that have
arrived are always handled before a timer may fire, and time in which this thread was starved is nobody's silence.
What executors say is read by `reception.py`, what they are told goes through `outgoing.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import ExecutorId, JobId, ShuffleId
from rddlite.base.log import logger
from rddlite.base.outcome import StoredResult, Success
from rddlite.base.units import show_bytes
from rddlite.driver.accumulators import AcceptedUpdates
from rddlite.driver.cacheplace import with_hosts
from rddlite.driver.collector import ResultFetched, ResultMissed
from rddlite.driver.jobs import JobHandle
from rddlite.driver.kept import Update, UpdateFiles
from rddlite.driver.meetings import Meetings
from rddlite.driver.outgoing import Outgoing
from rddlite.driver.payloads import Payload
from rddlite.driver.provider import ExecutorEnded, ProviderGaveUp
from rddlite.driver.reception import Company, Home, Reception
from rddlite.driver.roster import ExecutorInfo
from rddlite.driver.verdict import verdict
from rddlite.errors import ContextStopped, ResultTooLarge
from rddlite.net.inbox import Inbox
from rddlite.net.messages import Refused, Shutdown
from rddlite.observe.eventlog import EventLog
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
    """A job on its way to the loop: its plan, the payloads of its stages, and who waits for it.

    `rests_on` is there for what it keeps alive: a shuffle that goes with its lineage, when that is cut at this moment,
    is not forgotten before the scheduler knows that a job has it in its plan.
    """

    plan: JobPlan
    payloads: dict[StageKey, Payload]
    handle: JobHandle
    rests_on: tuple[object, ...] = ()


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
        company: Company,
        home: Home,
        inbox: Inbox,
        status: StatusStore,
        clock: Clock,
        log: EventLog | None = None,
    ) -> None:
        self._most_result_bytes = settings["driver.maxResultSize"]
        self._scheduler = scheduler
        self._handle_all = scheduler.handle_all if log is None else log.recording(scheduler.handle_all)
        self._is_checked = settings["debug.checkInvariants"]
        self._company = company
        self._transport = company.transport
        self._provider = company.provider
        self.roster = company.roster
        self._blobs = company.blobs
        self._inbox = inbox
        self._status = status
        self._clock = clock
        self.outgoing = Outgoing(company.transport, company.roster, company.blobs, self._unreachable)
        self._meetings = Meetings(company.roster.place_name)
        self._reception = Reception(settings, home, company, self.outgoing, self._meetings)
        self._jobs: dict[JobId, JobHandle] = {}
        self._job_keys: dict[JobId, StageKey] = {}
        self._updates: AcceptedUpdates[Update] = AcceptedUpdates()
        self._update_files = UpdateFiles(home.scratch)
        self._is_stopping = False
        self.has_begun, self.has_ended = threading.Event(), threading.Event()
        self.has_closed = threading.Event()
        """All is gone but its thread."""
        out = self.outgoing
        self._perform_table: dict[type[Any], Callable[[Any], None]] = {
            cmd.Launch: out.launch,
            cmd.Kill: out.kill,
            cmd.DeliverResult: self._deliver,
            cmd.JobDone: self._job_done,
            cmd.JobFailed: self._job_failed,
            cmd.ForgetShuffle: self._forget_shuffle,
            cmd.ReleaseShuffle: out.release_shuffle,
            cmd.FindCached: self._find_cached,
            cmd.ForgetOutput: out.forget_output,
            cmd.MoveOutputs: out.move_outputs,
            cmd.SuspectExecutor: self._suspect,
            cmd.DropExecutor: self._drop_executor,
            cmd.ReleaseExecutor: lambda command: out.shut_down(command.executor, command.why),
            cmd.AttemptEnded: self._attempt_ended,
            cmd.GangStarted: self._meetings.started,
            cmd.StageEnded: self._meetings.stage_ended,
            cmd.WantExecutors: lambda command: self._provider.want(),
            cmd.ExecutorExcluded: _warn_of_exclusion,
            cmd.RolledBack: _warn_of_roll_back,
        }
        self._feedback: list[ev.Event] = []

    # Any thread

    def post(self, item: Any) -> None:
        """Hand an event, a submission, a provider's event or a call to the loop."""
        self._inbox.post(item)

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
            try:
                self._close()
            finally:
                self.has_closed.set()

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
            self._reception.receive(peer, message, events)
        if self._transport.take_disconnects():
            self.outgoing.knock(self.roster.ids())
            events += self._take_feedback()
        if deadline is not None and woke >= deadline:
            events.append(ev.Tick())
        self._note_updates(events)
        while events:
            self._perform(self._handle_all(events, self._clock.now()))
            if self._is_checked:
                check(self._scheduler)
            events = self._take_feedback()
        self._updates.turn_ended()
        self._reception.discard_unclaimed()

    def _note_updates(self, events: list[ev.Event]) -> None:
        for event in events:
            if type(event) is ev.TaskEnded and type(event.outcome) is Success and event.outcome.accumulators:
                self._updates.reported(event.attempt, self._update_files.keep(event.outcome.accumulators))

    def _take_feedback(self) -> list[ev.Event]:
        feedback, self._feedback = self._feedback, []
        return feedback

    def _take(self, item: Any, events: list[ev.Event]) -> None:
        match item:
            case Submission(plan, payloads, handle):
                self._submit(plan, payloads, handle, events)
            case Call(work):
                work()
            case ExecutorEnded(executor, cause):
                self._reception.forget(executor)
                self._company.readiness.failed(f"{cause} before it was ready; its own output says why")
                events.append(ev.ExecutorLost(executor, cause))
            case ProviderGaveUp(why):
                self._company.readiness.failed(why)
                events.append(ev.ProviderFailed(why))
            case ResultFetched():
                self._reception.result_arrived(item, events)
            case ResultMissed():
                self._reception.result_missed(item, events)
            case None:
                pass  # a transport that only wakes the loop
            case _:
                events.append(item)

    def _submit(
        self, plan: JobPlan, payloads: dict[StageKey, Payload], handle: JobHandle, events: list[ev.Event]
    ) -> None:
        plan = with_hosts(plan, payloads, self._company.caches, self.roster)
        for key, payload in payloads.items():
            stage = plan.maps[key.shuffle] if isinstance(key, MapStage) else plan.result
            self._blobs.add(key, payload, stage.parents, None if isinstance(key, MapStage) else plan.partitions)
        self._jobs[plan.job_id] = handle
        self._job_keys[plan.job_id] = plan.result.key
        self._updates.begin(plan)
        self._status.job_started(plan, self._clock.now())
        events.append(ev.JobSubmitted(plan))

    # Commands

    def _perform(self, commands: Sequence[cmd.Command]) -> None:
        now = self._clock.now()
        for command in commands:
            self._status.observe(command, now)
            action = self._perform_table.get(type(command))
            if action is not None:
                action(command)
        self.outgoing.flush()

    def _unreachable(self, executor: ExecutorId, what: str) -> None:
        """Something could not be sent: nothing more is, until this executor has registered again."""
        self._doubt(executor)
        self._feedback.append(ev.ExecutorSuspected(executor, f"{what} could not be sent"))

    def _suspect(self, command: cmd.SuspectExecutor) -> None:
        self._doubt(command.executor)

    def _doubt(self, executor: ExecutorId) -> None:
        self.roster.suspect(executor)
        self._blobs.forget_executor(executor)
        self._provider.suspect(executor, self.roster.place(executor)[1])

    def _attempt_ended(self, note: cmd.AttemptEnded) -> None:
        self._updates.ended(note.key, note.index, note.attempt, note.accepted)
        for executor, met in self._meetings.attempt_ended(note):
            self.outgoing.send(executor, met)

    def _find_cached(self, find: cmd.FindCached) -> None:
        self._feedback.append(ev.CachedFound(find.stage, find.question, self._blobs.unread(find)))

    def _deliver(self, result: cmd.DeliverResult) -> None:
        handle = self._jobs.get(result.job_id)
        if handle is None:
            return
        if isinstance(result.value, StoredResult):
            self._reception.unclaimed.pop(result.value.path, None)
        size = handle.deliver(result.index, result.value)
        limit = self._most_result_bytes
        if limit and size > limit:
            too_large = ResultTooLarge(
                f"the results of job {result.job_id} are larger than driver.maxResultSize: {show_bytes(size)} so "
                f"far, of {show_bytes(limit)} allowed; {ResultTooLarge.ADVICE}"
            )
            self._finish(handle, too_large)
            self._feedback.append(ev.JobCancelled(result.job_id, "its results are too large"))

    def _job_done(self, done: cmd.JobDone) -> None:
        self._forget_job(done.job_id, None)

    def _job_failed(self, failed: cmd.JobFailed) -> None:
        self._forget_job(failed.job_id, verdict(failed.job_id, failed.cause, self._provider.join_command))

    def _forget_job(self, job_id: JobId, error: Exception | None) -> None:
        handle = self._jobs.pop(job_id, None)
        if handle is not None:
            self._forget_blobs([self._job_keys.pop(job_id)], [])
            self._finish(handle, error)

    def _finish(self, handle: JobHandle, error: BaseException | None) -> None:
        if handle.is_done or not handle.is_awaited:
            self._updates.drop(handle.job_id)
            handle.finish(error)
        else:
            handle.finish(error, self._updates.take(handle.job_id))

    def _forget_shuffle(self, command: cmd.ForgetShuffle) -> None:
        self._forget_blobs([MapStage(command.shuffle)], [command.shuffle])
        self._updates.forget([command.shuffle])

    def _forget_blobs(self, keys: list[StageKey], shuffles: list[ShuffleId]) -> None:
        self.outgoing.forget_blobs(sorted(self._blobs.forget(keys)), shuffles)

    def _drop_executor(self, command: cmd.DropExecutor) -> None:
        self._transport.send(command.executor, Refused(command.why))  # also when it is in no roster (any more)
        self._reception.forget(command.executor)
        self._provider.stop(command.executor)

    # The end

    def executors(self) -> list[ExecutorInfo]:
        """The executors as people see them; to be asked for through `Call`."""
        return self.roster.snapshot({each.id: each.state for each in self._scheduler.executors()})

    def stop(self) -> None:
        """End the loop; called by the loop thread through `Call`."""
        self._is_stopping = True

    def _end_jobs(self, error_of: Callable[[JobId], Exception]) -> None:
        for job_id, handle in list(self._jobs.items()):
            self._finish(handle, error_of(job_id))
        self._jobs.clear()
        self._company.readiness.end()

    def _close(self) -> None:
        for executor in self.roster.ids():
            self._transport.send(executor, Shutdown("the context was stopped"))
        if self._company.collector is not None:
            self._company.collector.close()
        self._provider.close()
        self._transport.close()
        self._inbox.close()


def _internal(job_id: JobId, error: Exception) -> Exception:
    failure = RuntimeError(f"job {job_id} failed because the driver's loop failed: {error!r}")
    failure.__cause__ = error
    return failure


def _warn_of_exclusion(note: cmd.ExecutorExcluded) -> None:
    _log.warning("executor %s gets no new tasks for about %.0f s: %s", note.executor, note.seconds, note.why)


def _warn_of_roll_back(note: cmd.RolledBack) -> None:
    _log.warning(
        "partition %d of the stage at %s was lost, and gave other records when it was computed again (does it use "
        "random numbers, the order of a set, or the time?); %d tasks that had read the first ones run again",
        note.map_index, note.label, note.n_tasks,
    )  # fmt: skip
