"""The referee's book of executors: who may be counted on, who was silent for how long, and who waits for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rddlite.base.ids import ExecutorId, JobId
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.options import DEEPER, SchedulerOptions

ROUNDING = 1e-6


class Foul(AssertionError):
    """The scheduler did something that it must never do, or left undone what it must do."""


class Members:
    """Executors as the scheduler has been told of them.

    `state` is alive, suspect or leaving for those that count.
    """

    def __init__(self, options: SchedulerOptions) -> None:
        self._options = options
        self.state: dict[ExecutorId, str] = {}
        self._gone: set[ExecutorId] = set()
        self._slots: dict[ExecutorId, int] = {}
        self._heard: dict[ExecutorId, float] = {}
        self._leaving: dict[ExecutorId, float] = {}
        self._alive_since: dict[ExecutorId, float] = {}
        self._alone_since: dict[JobId, float] = {}

    def room(self, executor: ExecutorId) -> int:
        """How many attempts may be at this executor."""
        return self._slots[executor] * (1 + DEEPER * self._options.launch_ahead)

    def slots(self, executor: ExecutorId) -> int:
        """How many attempts may run at this executor."""
        return self._slots[executor]

    def is_gone(self, executor: ExecutorId) -> bool:
        """Whether it was told (or found out) that this executor is lost."""
        return executor in self._gone

    def hear(self, event: ev.Event, now: float) -> None:
        """One event of a batch is about to be handled."""
        match event:
            case ev.ExecutorJoined(executor, _, slots):
                if executor not in self._gone and executor not in self.state:
                    self._slots[executor] = slots
                    self._set(executor, "alive", now)
                if self.state.get(executor) in ("alive", "leaving"):
                    self._heard[executor] = now
            case ev.ExecutorSuspected(executor) if executor in self.state:
                self._set(executor, "suspect", now)
            case ev.ExecutorDraining(executor) if executor in self.state:
                self._leaving.setdefault(executor, now)
                if self.state[executor] == "alive":
                    self._set(executor, "leaving", now)
            case ev.ExecutorReturned(executor):
                if executor in self.state:
                    self._set(executor, "leaving" if executor in self._leaving else "alive", now)
                    self._heard[executor] = now
                else:
                    self._gone.add(executor)
            case ev.Heartbeat(executor) if self.state.get(executor) in ("alive", "leaving"):
                self._heard[executor] = now
            case ev.ExecutorLost(executor):
                self._remove(executor)
            case ev.DriverDelayed(seconds):
                self._heard = {executor: heard + seconds for executor, heard in self._heard.items()}
                self._alone_since = {job: since + seconds for job, since in self._alone_since.items()}
                self._leaving = {executor: since + seconds for executor, since in self._leaving.items()}

    def suspected(self, executor: ExecutorId, now: float) -> None:
        """The scheduler suspects this executor because it was quiet."""
        quiet = now - self._heard.get(executor, now)
        if self.state.get(executor, "suspect") == "suspect" or quiet < self._options.quiet - ROUNDING:
            raise Foul(f"executor {executor} ({self.state.get(executor)}) is suspected, but was heard {quiet} s ago")
        self._set(executor, "suspect", now)

    def is_leaving(self, executor: ExecutorId) -> bool:
        """Whether it said that it wants to leave."""
        return executor in self._leaving

    def check_causes(self, commands: Iterable[cmd.Command], *, is_certain: bool) -> None:
        """Whatever is known by now of the end of executors is told; one that is gone or out of reach counts once."""
        for command in commands:
            match command:
                case cmd.MapOutputsLost(executor=str(executor)):
                    causes = [(executor, command.gone)]
                case cmd.JobFailed(cause=cmd.StageGaveUp(chain=chain)):
                    causes = [(each.executor, each.gone) for each in chain]
                    away = [executor for executor, _ in causes if self.state.get(executor) in (None, "suspect")]
                    if len(away) > len(set(away)) and is_certain:
                        raise Foul(f"{command}: an executor that is gone counts more than once")
                case _:
                    continue
            for executor, gone in causes:
                if self.is_gone(executor) != (gone is not None and gone.executor == executor):
                    raise Foul(f"{command} is wrong about the end of executor {executor}")

    def may_leave(self, executor: ExecutorId, now: float) -> bool:
        """Whether it has waited long enough."""
        return now >= self.limit_of(executor) - ROUNDING

    def alive_since_before(self, moment: float) -> set[ExecutorId]:
        """Executors that were alive then, and have been without interruption."""
        return {each for each, state in self.state.items() if state == "alive" and self._alive_since[each] < moment}

    def dropped(self, executor: ExecutorId, now: float) -> bool:
        """The scheduler wants nothing more to do with this executor: because of silence, if it counted until now."""
        if executor not in self.state:
            return False
        heard = self._heard[executor]
        if now < heard + self._options.silence - ROUNDING:
            raise Foul(f"executor {executor} was dropped at {now}, but heard at {heard}")
        self._remove(executor)
        return True

    def after(self, wants: bool, live: Mapping[JobId, object], events: Iterable[type], now: float) -> None:
        """The batch is handled; `wants` tells whether executors were asked for."""
        if self.state or not live:
            self._alone_since.clear()
        waiting = [] if self.state else [job for job in live if job not in self._alone_since]
        if waiting and not wants:
            raise Foul("jobs wait without an executor, and none was asked for")
        self._alone_since.update(dict.fromkeys(waiting, now))
        if ev.Tick in events:
            late = [each for each in self.state if now > self._heard[each] + self._options.silence + ROUNDING]
            late += (
                each
                for each, state in self.state.items()
                if state != "suspect" and now > self._heard[each] + self._options.quiet + ROUNDING
            )
            late_jobs = [
                job
                for job, since in self._alone_since.items()
                if job in live and self._is_over(since + 2 * ROUNDING, now)
            ]
            if late or late_jobs:
                raise Foul(f"a timer did not fire: executors {late}, jobs {late_jobs}")

    def deadlines(self, live: Iterable[JobId]) -> Iterator[float]:
        """When silence, quiet, or the waiting of jobs without executors becomes too long."""
        for executor, state in self.state.items():
            silence = self._options.silence if state == "suspect" else min(self._options.quiet, self._options.silence)
            yield self._heard[executor] + silence
        if not self.state:
            yield from (self._alone_since[job] + self._options.grace for job in live if job in self._alone_since)

    def limit_of(self, executor: ExecutorId) -> float:
        """Until when an executor that leaves waits at most."""
        return self._leaving[executor] + self._options.drain_limit

    def leaving(self) -> list[ExecutorId]:
        """Executors that wait to be released, as far as they can be reached."""
        return [each for each in self._leaving if self.state[each] == "leaving"]

    def may_give_up(self, job: JobId, provider_failed: bool, now: float) -> bool:
        """Whether the job may fail for lack of executors."""
        if self.state:
            return False
        return provider_failed or (job in self._alone_since and self._is_over(self._alone_since[job], now))

    def _is_over(self, since: float, now: float) -> bool:
        return now >= since + self._options.grace - ROUNDING

    def _set(self, executor: ExecutorId, state: str, now: float) -> None:
        if state != self.state.get(executor):
            self._alive_since[executor] = now
        self.state[executor] = state

    def _remove(self, executor: ExecutorId) -> None:
        self._gone.add(executor)
        for book in (self.state, self._heard, self._leaving):
            book.pop(executor, None)
