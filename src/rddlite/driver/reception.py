"""What executors say, as events of the scheduler. Decides only who may speak, and when a result counts as arrived.

A large result must be out of its executor's hands before its attempt counts as ended: taken over by a rename where
this process reaches the file, else fetched by the collector. Owned by the loop thread.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from rddlite.base.config import Settings
from rddlite.base.ids import AttemptId, ExecutorId, ShuffleId
from rddlite.base.log import logger
from rddlite.base.outcome import Failure, MapStatus, Raised, StoredResult, Success, TaskOutcome
from rddlite.driver.cachetable import CacheTable
from rddlite.driver.collector import Collector, ResultFetched, ResultMissed
from rddlite.driver.console import Console
from rddlite.driver.copies import Copies
from rddlite.driver.meetings import Meetings
from rddlite.driver.outgoing import Outgoing
from rddlite.driver.provider import ExecutorProvider, Transport
from rddlite.driver.readiness import Readiness
from rddlite.driver.results import claim, discard
from rddlite.driver.roster import Roster
from rddlite.driver.stages import StageBlobs
from rddlite.driver.versions import mismatch
from rddlite.errors import RemoteProtocolError
from rddlite.net.messages import (
    Adopted,
    BlocksChanged,
    Draining,
    ExecutorAlive,
    Leaving,
    Meet,
    Message,
    Refused,
    Register,
    Registered,
    TasksEnded,
    WorkerOutput,
)
from rddlite.net.wire import unpack_outcome
from rddlite.plan.model import MapStage
from rddlite.schedule import events as ev
from rddlite.schedule.commands import Launch

Events = list[ev.Event]
_log = logger("driver")


class Home(NamedTuple):
    """What executors are told of the driver: the address of its block server, its scratch directory and token."""

    address: str = ""
    scratch: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Company:
    """Those that the loop and its parts work with."""

    transport: Transport
    provider: ExecutorProvider
    roster: Roster
    blobs: StageBlobs
    console: Console
    readiness: Readiness
    collector: Collector | None
    """Where there are executors whose files may be out of reach."""
    caches: CacheTable = field(default_factory=CacheTable)


class Reception:
    """Turns messages into events. `unclaimed` are the files of results that nobody has been handed yet, by path."""

    def __init__(
        self, settings: Settings, home: Home, company: Company, outgoing: Outgoing, meetings: Meetings
    ) -> None:
        self._settings = settings
        self._home = home
        self._company = company
        self._roster = company.roster
        self._provider = company.provider
        self._outgoing = outgoing
        self._meetings = meetings
        self._copies = Copies(company.caches, company.roster, outgoing)
        self.unclaimed: dict[str, StoredResult] = {}

    def receive(self, peer: str, message: Message, events: Events) -> None:
        """Take a message; what follows for the scheduler is added to `events`."""
        executor, roster = ExecutorId(peer), self._roster
        match message:
            case TasksEnded(_, number, reports) if executor in roster:
                roster.reported(executor, number)
                for report in reports:
                    self._task_ended(executor, AttemptId(report.attempt), report.outcome, events)
            case ExecutorAlive() if roster.is_suspect(executor):
                self._outgoing.ask_to_register(executor, "it was out of reach, or something sent to it was lost")
            case ExecutorAlive() if executor in roster:
                alive = replace(message, running=_rows(message.running))
                roster.heard(alive)
                events.append(ev.Heartbeat(executor, _progress(alive)))
                self._outgoing.answer_heartbeat(executor, message.reports)
            case Meet() if executor in roster:
                for member, met in self._meetings.asked(executor, message):
                    self._outgoing.send(member, met)
            case WorkerOutput() if executor in roster:
                self._company.console.show(message)
            case Register():
                self._register(executor, message, events)
            case Draining(_, why) if executor in roster:
                self._provider.leaving(executor)
                events.append(ev.ExecutorDraining(executor, why))
            case Adopted(_, source, outputs, why) if executor in roster:
                moved = tuple((ShuffleId(s), m, AttemptId(a)) for s, m, a in _triples(outputs))
                events.append(ev.OutputsMoved(ExecutorId(source), executor, moved, why))
            case BlocksChanged() if executor in roster:
                for cache in self._company.caches.changed(executor, message):
                    self._outgoing.forget_kept(executor, cache)
                self._copies.changed(executor, message)
            case Leaving(_, why) if executor in roster:
                self.forget(executor)
                events.append(ev.ExecutorLost(executor, why))
            case _:
                _log.debug("ignored %s from %s", type(message).__name__, peer)

    def forget(self, executor: ExecutorId) -> None:
        """This executor is gone, or is to be treated so."""
        self._roster.leave(executor)
        kept = self._company.caches.held_by(executor)
        self._company.caches.forget_executor(executor)
        self._copies.lost(executor, kept)
        self._company.blobs.forget_executor(executor)
        self._provider.unsuspect(executor)
        if self._company.collector is not None:
            self._company.collector.forget(executor)

    def result_arrived(self, fetched: ResultFetched, events: Events) -> None:
        """The collector has a result."""
        value = fetched.outcome.value
        assert isinstance(value, StoredResult)
        self.unclaimed[value.path] = value
        self._outgoing.forget_result(fetched.executor, fetched.attempt)
        events.append(ev.TaskEnded(fetched.executor, fetched.attempt, fetched.outcome))

    def result_missed(self, missed: ResultMissed, events: Events) -> None:
        """The collector could not get a result: the work is lost, and nobody's fault but perhaps the disk's."""
        text = f"the result could not be fetched from executor {missed.executor}: {missed.why}"
        failure = Failure("rddlite.errors.ResultLost", text, text, text, is_transient=True)
        events.append(ev.TaskEnded(missed.executor, missed.attempt, Raised(failure, retryable=True)))

    def discard_unclaimed(self) -> None:
        """Delete the files of results that nobody wanted: of attempts that lost a race, and of ended jobs."""
        if self.unclaimed:
            for value in self.unclaimed.values():
                discard(value)
            self.unclaimed.clear()

    def _register(self, executor: ExecutorId, message: Register, events: Events) -> None:
        bad_version = mismatch(message)
        why = bad_version or self._objection(executor, message)
        if why is not None:
            _log.error("refused executor %s: %s", message.executor, why)
            self._company.transport.send(executor, Refused(why))
            if bad_version is not None:
                self._company.readiness.failed(bad_version)
            return
        is_new = self._roster.join(message)
        settings = json.dumps(self._settings.given)
        self._company.transport.send(executor, Registered(settings, *self._home))
        if is_new:
            self._copies.joined()
            events.append(ev.ExecutorJoined(executor, message.host, message.slots))
            self._company.readiness.registered()
        else:
            self._company.blobs.forget_executor(executor)
            self._provider.unsuspect(executor)
            events.append(ev.ExecutorReturned(executor, frozenset(map(AttemptId, message.attempts))))

    def _objection(self, executor: ExecutorId, message: Register) -> str | None:
        if message.executor != executor:
            return f"executor {message.executor} does not belong to this application"
        n_others = len(self._roster.ids()) - (executor in self._roster)
        return self._provider.objection(executor, n_others)

    def _task_ended(self, executor: ExecutorId, attempt: AttemptId, packed: bytes, events: Events) -> None:
        try:
            outcome = unpack_outcome(packed)
        except RemoteProtocolError as error:
            # What else it sends cannot be trusted either.
            self._end(executor, f"it sent an outcome that cannot be read: {error}", events)
            return
        launch = self._roster.ended(executor, attempt)
        if launch is not None and not _fits(launch, outcome):
            self._end(executor, f"it sent an outcome that attempt {attempt} cannot have", events)
        elif isinstance(outcome, Success) and isinstance(outcome.value, StoredResult):
            if launch is not None:  # else the same file, which may have a reader by now
                self._take_over(executor, attempt, outcome, outcome.value, events)
        else:
            events.append(ev.TaskEnded(executor, attempt, outcome))

    def _take_over(
        self, executor: ExecutorId, attempt: AttemptId, outcome: Success, stored: StoredResult, events: Events
    ) -> None:
        collector = self._company.collector
        if collector is not None and self._roster.is_remote(executor):
            collector.collect(executor, attempt, self._roster.place(executor)[1], outcome)
            return
        value = claim(stored, self._roster.place(executor)[0], attempt)
        if value is None:
            self._end(executor, f"the result of attempt {attempt} is not in {stored.path!r}", events)
            return
        self.unclaimed[value.path] = value
        events.append(ev.TaskEnded(executor, attempt, Success(value, outcome.metrics, outcome.accumulators)))

    def _end(self, executor: ExecutorId, why: str, events: Events) -> None:
        """Have nothing more to do with an executor that does not work as it should."""
        _log.error("executor %s is ended: %s", executor, why)
        self._outgoing.refuse(executor, why)
        self._provider.stop(executor)
        self.forget(executor)
        events.append(ev.ExecutorLost(executor, why))


def _fits(launch: Launch, outcome: TaskOutcome) -> bool:
    return not isinstance(outcome, Success) or isinstance(outcome.value, MapStatus) == isinstance(launch.key, MapStage)


def _progress(message: ExecutorAlive) -> tuple[tuple[AttemptId, float, int], ...]:
    return tuple((AttemptId(int(attempt)), float(s), int(records)) for attempt, _, s, records in message.running)


def _rows(running: list[list[float]]) -> list[list[float]]:
    return [row for row in running if len(row) == 4 and all(map(math.isfinite, row))]


def _triples(outputs: list[list[int]]) -> list[list[int]]:
    return [row for row in outputs if len(row) == 3]
