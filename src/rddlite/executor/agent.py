"""The executor's own state machine: which worker runs which attempt, what waits, who is being stopped. Pure.

Theory. Attempts wait in one queue, first come first served, and run on whichever worker is free. The states of a worker
are in `staff.py`. STOPPING: its attempt was interrupted and has not ended. SETTLING: it has, and the worker must show
that the signal is behind it. Both together have `task.killGrace`; then the process is killed. Every attempt ends with
exactly one report. A worker that is gone is replaced at once. What is unknown or comes twice is ignored.

While tasks are short, running workers are given the next ones *ahead*: a worker begins them by itself, and is believed
to, in order. Whoever wants one of them elsewhere or stopped, or the worker ended, has all of them taken back first
(`Recall`) and goes on when that is done (`Recalled`): then it is known which one runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rddlite.base.cached import Block, News, Wanted, pack_wanted, unpack_wanted
from rddlite.base.outcome import Killed, Success, TaskOutcome
from rddlite.errors import RemoteProtocolError
from rddlite.executor import commands as cmd
from rddlite.executor import events as ev
from rddlite.executor.enrolment import Enrolment
from rddlite.executor.holdings import EVERYBODY, Holdings
from rddlite.executor.pace import SHORT, Pace
from rddlite.executor.staff import Worker, WorkerState, last_outcome
from rddlite.net.messages import RunTask
from rddlite.net.wire import pack_outcome, unpack_outcome

_FAILED_STARTS = 5
_YOUNG = 5.0
_LONG = 0.1
"""Seconds: nothing is to wait behind a task that takes so much longer than the others."""


class Agent:
    """Owned by the executor's loop: `handle` each event, carry out what it answers, `Tick` at `next_deadline`."""

    def __init__(self, slots: int, now: float) -> None:
        self._slots = slots
        self._kill_grace = 2.0
        self._copy_patience = 0.0
        self._queue: dict[int, RunTask] = {}
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []
        self._by_attempt: dict[int, Worker] = {}
        self._ahead: dict[int, Worker] = {}
        self._are_short = False
        self._pace = Pace(now)
        self._looked_at = now
        self._under_deadline: dict[int, Worker] = {}
        self._n_spawned = 0
        self._failed_starts = 0
        self._leaving: str | None = None
        self._is_draining = False
        self._holdings = Holdings()
        self._wanted: dict[int, list[Wanted]] = {}
        self._patience: dict[int, float] = {}
        self._enrolment = Enrolment(now)
        self._out: list[cmd.Command] = []
        self._table: dict[type[Any], Callable[[Any, float], None]] = {
            ev.Connected: self._connected,
            ev.Disconnected: self._disconnected,
            ev.Accepted: self._accepted,
            ev.Assigned: self._assigned,
            ev.KillAsked: self._kill_asked,
            ev.WorkerReady: self._worker_ready,
            ev.AttemptEnded: self._attempt_ended,
            ev.NotStarted: self._not_started,
            ev.Recalled: self._recalled,
            ev.BlocksChanged: self._blocks_changed,
            ev.WorkerSettled: self._worker_settled,
            ev.MemoryExceeded: self._memory_exceeded,
            ev.WorkerEnded: self._worker_ended,
            ev.LeaveAsked: self._leave_asked,
            ev.DrainAsked: self._drain_asked,
            ev.Tick: self._tick,
        }

    def start(self, now: float) -> list[cmd.Command]:
        """The first commands: spawn all workers."""
        for _ in range(self._slots):
            self._spawn(now)
        return self._answer(now)

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        """What is to be done about this event."""
        if self._leaving is not None and not self._is_draining:
            return []
        self._table[type(event)](event, now)
        return self._answer(now)

    def next_deadline(self) -> float | None:
        """When to `Tick`, if ever."""
        patience = self._patience.values() if self._idle else ()
        if not self._under_deadline and not patience:
            return self._enrolment.deadline
        due = [at for worker in self._under_deadline.values() for at in (worker.again_at, worker.kill_at)]
        due += patience
        due.append(self._enrolment.deadline)
        return min((at for at in due if at is not None), default=None)

    @property
    def is_enrolled(self) -> bool:
        """Whether the driver knows this executor now."""
        return self._enrolment.is_accepted

    @property
    def n_waiting(self) -> int:
        """How many assigned tasks have not begun."""
        return len(self._queue) + len(self._ahead)

    @property
    def pause(self) -> float:
        """For how many seconds nobody needs to listen to workers: each has more than enough to do."""
        if self._idle or not self._ahead:
            return 0.0
        return self._pace.pause(min((len(worker.ahead) for worker in self._by_attempt.values()), default=0))

    @property
    def is_busy(self) -> bool:
        """Whether an attempt runs."""
        return bool(self._by_attempt)

    def attempts(self) -> tuple[int, ...]:
        """Attempts that run or wait."""
        return (*self._by_attempt, *self._ahead, *self._queue)

    def worker_pids(self) -> list[int]:
        """Process ids of all workers that started and did not end."""
        return [worker.pid for worker in self._workers.values() if worker.pid]

    def whereabouts(self, block: Block) -> Wanted:
        """Where a block is that a worker has in memory: its frames, or whom to ask for them, and for how long. Any
        thread may want to know: each look-up is one step, and the answer a hint.
        """
        pids = {worker.number: worker.pid for worker in list(self._workers.values())}
        routed = self._holdings.routed(EVERYBODY, [Wanted(*block)], pids)
        found = routed[0] if routed else Wanted(*block)
        return found._replace(seconds=max(found.seconds, self._copy_patience))

    def running(self, now: float) -> list[tuple[int, int, int, float]]:
        """Worker, attempt, worker's process id, and seconds so far of what runs."""
        return [
            (worker.number, attempt, worker.pid, now - worker.since) for attempt, worker in self._by_attempt.items()
        ]

    def running_workers(self) -> list[tuple[int, int]]:
        """Number and process id of each worker that runs an attempt."""
        return [(worker.number, worker.pid) for worker in self._by_attempt.values()]

    # The connection

    def _connected(self, _: ev.Connected, now: float) -> None:
        self._enrolment.connected(now)

    def _disconnected(self, _: ev.Disconnected, now: float) -> None:
        self._enrolment.disconnected(now)

    def _accepted(self, event: ev.Accepted, now: float) -> None:
        self._kill_grace = event.kill_grace
        self._copy_patience = event.copy_patience
        self._enrolment.accepted(event.silence)
        kept = self._holdings.all()
        if kept:
            self._out.append(cmd.TellBlocks(News(kept), is_all=True))
        if self._is_draining and self._leaving is not None:
            self._out.append(cmd.AskToLeave(self._leaving))  # again: the first time may have got lost

    # Attempts

    def _assigned(self, event: ev.Assigned, now: float) -> None:
        for task in event.tasks:
            if task.attempt in self._by_attempt or task.attempt in self._ahead or task.attempt in self._queue:
                continue
            if self._is_draining:
                self._report(task.attempt, Killed(f"the executor is leaving: {self._leaving}"))
            else:
                self._queue[task.attempt] = task
                if task.cached:
                    self._wanted[task.attempt] = unpack_wanted(task.cached)

    def _kill_asked(self, event: ev.KillAsked, now: float) -> None:
        if self._queue.pop(event.attempt, None) is not None:
            self._forget_wanted(event.attempt)
            self._report(event.attempt, Killed(event.why))
            return
        worker = self._by_attempt.get(event.attempt) or self._ahead.get(event.attempt)
        if worker is None or worker.state is not WorkerState.RUNNING:
            return
        if worker.ahead:
            self._recall_first(worker, event, event.attempt)
            return
        worker.state = WorkerState.STOPPING
        worker.kill_why = event.why
        # Asked once more half-way: the exception may have been lost in a destructor, where Python drops exceptions.
        worker.again_at = now + self._kill_grace / 2
        worker.kill_at = now + self._kill_grace
        self._under_deadline[worker.number] = worker
        self._out.append(cmd.Interrupt(worker.number, event.attempt))

    def _attempt_ended(self, event: ev.AttemptEnded, now: float) -> None:
        worker = self._workers.get(event.worker)
        if worker is None or worker.task is None:
            return
        if worker.task.attempt != event.attempt:
            if self._ahead.get(event.attempt) is worker:  # it could not be sent
                self._take_back(worker, event.attempt)
                self._out.append(cmd.Report(event.attempt, event.outcome))
            return
        self._failed_starts = 0
        self._are_short = now - worker.since < SHORT
        self._pace.ended(len(self._by_attempt), now)
        worker.task = None
        del self._by_attempt[event.attempt]
        if worker.kill_why is None:
            self._out.append(cmd.Report(event.attempt, event.outcome))
        else:
            self._report_of_killed(event, worker.kill_why)
        if worker.state is WorkerState.STOPPING:
            worker.state = WorkerState.SETTLING
            worker.again_at = None
            self._out.append(cmd.Settle(worker.number))
        elif worker.state is WorkerState.RUNNING:
            self._go_on(worker, now)
        if self._ahead and now - self._looked_at > _LONG:
            self._looked_at = now
            for other in {*self._ahead.values()}:
                if now - other.since > _LONG:
                    self._recall(other)

    def _not_started(self, event: ev.NotStarted, now: float) -> None:
        """The attempt is not to blame for the end of its worker: it waits again, before all others."""
        worker = self._workers.get(event.worker)
        if worker is not None:
            task = self._take_back(worker, event.attempt)
            if task is not None:
                self._wait_again([task])
                worker.state = WorkerState.ENDING

    def _recalled(self, event: ev.Recalled, now: float) -> None:
        """What was taken back waits again, before all others. What is believed to run may be among it."""
        worker = self._workers.get(event.worker)
        if worker is None:
            return
        worker.is_recalled = False
        self._wait_again([task for attempt in event.attempts if (task := self._take_back(worker, attempt))])
        if worker.state is WorkerState.RUNNING:
            if worker.ahead:  # a worker that begins tasks and does not tell of their ends
                self._stop(worker)
            elif worker.task is None:
                self._set_idle(worker)
        self._do_later(worker, now)

    def _do_later(self, worker: Worker, now: float) -> None:
        """What waited for the answer to a `Recall`, as far as it still concerns the task that it was about."""
        later, worker.after_recall = worker.after_recall, []
        for event, attempt in later:
            if isinstance(event, ev.KillAsked) or (worker.task is not None and worker.task.attempt == attempt):
                self._table[type(event)](event, now)

    def _recall_first(self, worker: Worker, event: ev.Event, attempt: int) -> None:
        worker.after_recall.append((event, attempt))
        self._recall(worker)

    def _recall(self, worker: Worker) -> None:
        # One that is being ended gives all back with its end, which would not be heard among questions and answers.
        if not worker.is_recalled and worker.state is not WorkerState.ENDING:
            worker.is_recalled = True
            self._out.append(cmd.Recall(worker.number))

    def _take_back(self, worker: Worker, attempt: int) -> RunTask | None:
        """The worker has nothing to do with this attempt any more."""
        task = worker.task
        if task is not None and task.attempt == attempt:
            worker.task = None
            del self._by_attempt[attempt]
            return task
        for task in worker.ahead:
            if task.attempt == attempt:
                worker.ahead.remove(task)
                del self._ahead[attempt]
                return task
        return None

    def _wait_again(self, tasks: list[RunTask]) -> None:
        if self._is_draining:
            for task in tasks:
                self._report(task.attempt, Killed(f"the executor is leaving: {self._leaving}"))
        elif tasks:
            self._queue = {task.attempt: task for task in tasks} | self._queue
            self._wanted |= {task.attempt: unpack_wanted(task.cached) for task in tasks if task.cached}

    def _blocks_changed(self, event: ev.BlocksChanged, now: float) -> None:
        if event.worker in self._workers or event.worker == EVERYBODY:
            for owner, block in self._holdings.changed(event.worker, event.news):
                self._out.append(cmd.ForgetBlocks(owner, (block,)))
            news = self._holdings.as_told(event.news)
            if news != News():
                self._out.append(cmd.TellBlocks(news))

    def _report_of_killed(self, event: ev.AttemptEnded, why: str) -> None:
        """An attempt that succeeded before it could be stopped did succeed; whatever else it says is the stopping."""
        try:
            is_success = isinstance(unpack_outcome(event.outcome), Success)
        except RemoteProtocolError:
            is_success = False
        if is_success:
            self._out.append(cmd.Report(event.attempt, event.outcome))
        else:
            self._report(event.attempt, Killed(why))

    def _report(self, attempt: int, outcome: TaskOutcome) -> None:
        self._out.append(cmd.Report(attempt, pack_outcome(outcome), is_own=True))

    # Workers

    def _spawn(self, now: float) -> None:
        worker = Worker(self._n_spawned, now)
        self._n_spawned += 1
        self._workers[worker.number] = worker
        self._out.append(cmd.Spawn(worker.number))

    def _worker_ready(self, event: ev.WorkerReady, now: float) -> None:
        worker = self._workers.get(event.worker)
        if worker is not None and worker.state is WorkerState.STARTING:
            worker.pid = event.pid
            self._set_idle(worker)
            if all(worker.state is not WorkerState.STARTING for worker in self._workers.values()):
                self._enrolment.ready(now)

    def _worker_settled(self, event: ev.WorkerSettled, now: float) -> None:
        worker = self._workers.get(event.worker)
        if worker is not None and worker.state is WorkerState.SETTLING:
            worker.kill_why = worker.kill_at = None
            del self._under_deadline[worker.number]
            self._set_idle(worker)

    def _memory_exceeded(self, event: ev.MemoryExceeded, now: float) -> None:
        worker = self._workers.get(event.worker)
        if worker is not None and worker.task is not None and worker.state is not WorkerState.ENDING:
            if worker.ahead:
                self._recall_first(worker, event, worker.task.attempt)
                return
            worker.exceeded = event
            self._stop(worker)

    def _worker_ended(self, event: ev.WorkerEnded, now: float) -> None:
        worker = self._workers.pop(event.worker, None)
        if worker is None:
            return
        self._under_deadline.pop(worker.number, None)
        if worker in self._idle:
            self._idle.remove(worker)
        lost = self._holdings.worker_gone(worker.number)
        if lost != News():
            self._out.append(cmd.TellBlocks(lost))
        unbegun = {*event.unbegun, *(task.attempt for task in worker.ahead)}
        self._wait_again([task for attempt in sorted(unbegun) if (task := self._take_back(worker, attempt))])
        if worker.task is not None:
            del self._by_attempt[worker.task.attempt]
            self._report(worker.task.attempt, last_outcome(worker, event))
        elif worker.state in (WorkerState.STARTING, WorkerState.IDLE) and now - worker.born < _YOUNG:
            self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            self._leave(f"workers do not start: {event.stderr_tail.strip()[-2000:]}", is_failure=True)
        elif not self._is_draining:
            self._spawn(now)
        self._do_later(worker, now)

    def _go_on(self, worker: Worker, now: float) -> None:
        """A worker that ended a task begins with the next that it has, or with any."""
        if not worker.ahead:
            self._set_idle(worker)
            return
        task = worker.task = worker.ahead.popleft()
        del self._ahead[task.attempt]
        self._by_attempt[task.attempt] = worker
        worker.since = now

    def _set_idle(self, worker: Worker) -> None:
        worker.state = WorkerState.IDLE
        self._idle.append(worker)

    def _stop(self, worker: Worker) -> None:
        worker.state = WorkerState.ENDING
        worker.again_at = worker.kill_at = None
        self._under_deadline.pop(worker.number, None)
        self._out.append(cmd.StopWorker(worker.number))

    # The end, and time

    def _leave_asked(self, event: ev.LeaveAsked, now: float) -> None:
        self._leave(event.why, is_failure=event.is_failure)

    def _drain_asked(self, event: ev.DrainAsked, now: float) -> None:
        if not self._enrolment.is_accepted:
            self._leave(event.why)
        elif not self._is_draining:
            self._is_draining = True
            self._leaving = event.why
            # Before the reports: what comes back because of it is nobody's failure.
            self._out.append(cmd.AskToLeave(event.why))
            for attempt in list(self._queue):
                self._report(attempt, Killed(f"the executor is leaving: {event.why}"))
            for worker in {*self._ahead.values()}:
                self._recall(worker)
            self._queue.clear()
            self._wanted.clear()
            self._patience.clear()

    def _leave(self, why: str, *, is_failure: bool = False) -> None:
        self._leaving = why
        self._is_draining = False
        self._out.append(cmd.Exit(why, is_failure))

    def _tick(self, _: ev.Tick, now: float) -> None:
        for worker in list(self._under_deadline.values()):
            if worker.kill_at is not None and now >= worker.kill_at:
                self._stop(worker)
            elif worker.again_at is not None and now >= worker.again_at:
                worker.again_at = None
                assert worker.task is not None
                self._out.append(cmd.Interrupt(worker.number, worker.task.attempt))
        if self._enrolment.has_given_up(now):
            self._leave("the driver could not be reached", is_failure=True)

    def _answer(self, now: float) -> list[cmd.Command]:
        """What was decided, after free workers have taken what waits."""
        if self._wanted:
            self._match(now)
        else:
            while self._idle and self._queue:
                self._start(self._idle.pop(), next(iter(self._queue)), now)
            if self._queue and self._are_short:
                self._send_ahead(now)
        if self._idle and self._ahead:
            self._recall(max(self._workers.values(), key=lambda worker: len(worker.ahead)))
        if self._enrolment.wants_to_register(now):
            self._out.append(cmd.Register(self.attempts()))
        out, self._out = self._out, []
        return out

    def _send_ahead(self, now: float) -> None:
        """Give running workers more to do, while none is idle; those that have least of it first."""
        most, n_running = self._pace.most_ahead(), len(self._by_attempt)
        if not self._pace.is_worth_sending(most * n_running - len(self._ahead), n_running):
            return
        running = [
            worker
            for worker in self._by_attempt.values()
            if worker.state is WorkerState.RUNNING and now - worker.since <= _LONG
        ]
        for n in range(most):
            for worker in running:
                if len(worker.ahead) == n and not worker.is_recalled:
                    if not self._queue:
                        return
                    attempt, task = next(iter(self._queue.items()))
                    del self._queue[attempt]
                    worker.ahead.append(task)
                    self._ahead[attempt] = worker
                    self._out.append(cmd.Start(worker.number, task, is_ahead=True))

    def _match(self, now: float) -> None:
        """Give what waits to free workers, first come first served. Those that read cached partitions go to the worker
        that keeps them; if that is busy, they wait about as long as it would take to compute them again.
        """
        for attempt in list(self._queue):
            if not self._idle:
                return
            claim = self._holdings.claim(self._wanted.get(attempt, ()))
            owner = self._workers.get(claim.worker) if claim is not None else None
            if claim is None or owner is None or owner.state is WorkerState.ENDING:
                self._start(self._idle.pop(), attempt, now)
            elif owner.state is WorkerState.IDLE:
                self._idle.remove(owner)
                self._start(owner, attempt, now)
            else:
                if now >= self._patience.setdefault(attempt, now + claim.patience):
                    self._start(self._idle.pop(), attempt, now)

    def _forget_wanted(self, attempt: int) -> list[Wanted] | None:
        self._patience.pop(attempt, None)
        return self._wanted.pop(attempt, None)

    def _start(self, worker: Worker, attempt: int, now: float) -> None:
        task = worker.task = self._queue.pop(attempt)
        worker.state = WorkerState.RUNNING
        worker.since = now
        self._by_attempt[attempt] = worker
        wanted = self._forget_wanted(attempt)
        if wanted:
            pids = {each.number: each.pid for each in self._workers.values()}
            routed = self._holdings.routed(worker.number, wanted, pids)
            task = task if routed is None else replace(task, cached=pack_wanted(routed))
        self._out.append(cmd.Start(worker.number, task))
