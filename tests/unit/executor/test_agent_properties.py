"""Whatever happens in whatever order: every attempt ends with one report, and no worker has two attempts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rddlite.base.cached import Form, Kept, News, Wanted, pack_wanted
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, Killed, Success
from rddlite.executor import commands as cmd
from rddlite.executor import events as ev
from rddlite.executor.agent import Agent
from rddlite.net.messages import RunTask
from rddlite.net.wire import pack_outcome

SUCCESS = pack_outcome(Success(InlineResult(b""), TaskMetrics()))
STOPPED = pack_outcome(Killed("stopped"))


@dataclass
class Worker:
    """A process as it is: what it runs, what it may begin after that, and what has ended without being heard of yet."""

    running: int | None = None
    ahead: deque[int] = field(default_factory=deque)
    unheard: list[int] = field(default_factory=list)


class AgentMachine(RuleBasedStateMachine):
    """Plays workers and driver against an agent; its model is what real processes would do."""

    @initialize(slots=st.integers(1, 3))
    def start(self, slots):
        self.now = 0.0
        self.slots = slots
        self.agent = Agent(slots, self.now)
        self.alive: dict[int, Worker] = {}
        self.events: deque[ev.Event] = deque()
        self.ready: set[int] = set()
        self.settling: set[int] = set()
        self.doomed: set[int] = set()
        self.assigned: list[int] = []
        self.reports: Counter[int] = Counter()
        self.left = False
        self.carry_out(self.agent.start(self.now))
        self.tell(ev.Connected())
        self.tell(ev.Accepted(2.0, 15.0))

    def tell(self, *events):
        self.events += events
        while self.events:
            self.carry_out(self.agent.handle(self.events.popleft(), self.now))
        deadline = self.agent.next_deadline()
        assert deadline is None or self.left or deadline > self.now

    def carry_out(self, commands):
        for command in commands:
            match command:
                case cmd.Spawn(worker):
                    assert worker not in self.alive
                    self.alive[worker] = Worker()
                case cmd.Start(worker, task) if worker not in self.alive:
                    self.events.appendleft(ev.NotStarted(worker, task.attempt))
                case cmd.Interrupt(worker) | cmd.Settle(worker) | cmd.StopWorker(worker) if worker not in self.alive:
                    pass
                case cmd.Start(worker, task, is_ahead):
                    process = self.alive[worker]
                    assert worker not in self.settling
                    assert worker not in self.doomed
                    assert not self.reports[task.attempt]
                    if is_ahead:
                        assert process.unheard or process.running is not None
                        process.ahead.append(task.attempt)
                        if process.running is None:
                            process.running = process.ahead.popleft()
                    else:
                        assert process == Worker()
                        process.running = task.attempt
                case cmd.Recall(worker):
                    process = self.alive.get(worker, Worker())
                    self.events += self.heard(worker)
                    self.events.append(ev.Recalled(worker, tuple(process.ahead)))
                    process.ahead.clear()
                case cmd.Interrupt(worker, attempt):
                    process = self.alive[worker]
                    assert not process.ahead
                    assert attempt in (process.running, *process.unheard)
                case cmd.Settle(worker):
                    self.settling.add(worker)
                case cmd.StopWorker(worker):
                    self.doomed.add(worker)
                case cmd.Report(attempt):
                    self.reports[attempt] += 1
                case cmd.Exit():
                    self.left = True

    def heard(self, worker):
        """What a worker has said and is heard of now."""
        unheard = self.alive[worker].unheard if worker in self.alive else []
        said = [ev.AttemptEnded(worker, attempt, SUCCESS) for attempt in unheard]
        unheard.clear()
        return said

    def workers(self):
        return [worker for worker, process in self.alive.items() if process.running is not None]

    @precondition(lambda self: not self.left)
    @rule(n=st.integers(1, 4))
    def assign(self, n):
        first = len(self.assigned)
        # Every other task reads a cached partition, which some worker keeps or none.
        cached = [pack_wanted([Wanted(1, i % 5)]) if i % 2 else b"" for i in range(first + n)]
        tasks = tuple(RunTask(i, 0, i, i, 0, "", "", b"", cached[i]) for i in range(first, first + n))
        self.assigned += range(first, first + n)
        self.tell(ev.Assigned(tasks))

    @precondition(lambda self: self.assigned)
    @rule(data=st.data())
    def kill(self, data):
        self.tell(ev.KillAsked(data.draw(st.sampled_from(self.assigned)), "why"))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def worker_ready(self, data):
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        self.ready.add(worker)
        self.tell(ev.WorkerReady(worker, 1000 + worker))

    def is_free(self, worker):
        return worker in self.ready and worker not in self.settling and worker not in self.doomed

    def end(self, worker):
        process = self.alive[worker]
        attempt, process.running = process.running, process.ahead.popleft() if process.ahead else None
        return attempt

    @precondition(lambda self: self.workers())
    @rule(data=st.data(), outcome=st.sampled_from([SUCCESS, STOPPED]))
    def attempt_ends(self, data, outcome):
        worker = data.draw(st.sampled_from(self.workers()))
        self.tell(*self.heard(worker), ev.AttemptEnded(worker, self.end(worker), outcome))

    @precondition(lambda self: self.workers())
    @rule(data=st.data())
    def attempt_ends_unheard(self, data):
        worker = data.draw(st.sampled_from(self.workers()))
        self.alive[worker].unheard.append(self.end(worker))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), partition=st.integers(0, 4), form=st.sampled_from(Form), is_kept=st.booleans())
    def blocks_change(self, data, partition, form, is_kept):
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        kept = (Kept(1, partition, form, 10, 2.0),) if is_kept else ()
        self.tell(ev.BlocksChanged(worker, News(kept, () if is_kept else ((1, partition),))))

    @precondition(lambda self: self.settling)
    @rule(data=st.data())
    def worker_settles(self, data):
        worker = data.draw(st.sampled_from(sorted(self.settling)))
        self.settling.remove(worker)
        self.tell(ev.WorkerSettled(worker))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def worker_dies(self, data):
        worker = data.draw(st.sampled_from(sorted(self.alive)))
        said = self.heard(worker)
        process = self.alive.pop(worker)
        self.settling.discard(worker)
        self.doomed.discard(worker)
        self.tell(*said, ev.WorkerEnded(worker, None, 9, 0, "", tuple(process.ahead)))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def memory_exceeded(self, data):
        self.tell(ev.MemoryExceeded(data.draw(st.sampled_from(sorted(self.alive))), 1, 2))

    @precondition(lambda self: self.workers())
    @rule(data=st.data())
    def worker_was_gone_before_its_attempt_started(self, data):
        worker = data.draw(st.sampled_from(self.workers()))
        said = self.heard(worker)
        process = self.alive.pop(worker)
        self.settling.discard(worker)
        self.doomed.discard(worker)
        self.tell(*said, ev.NotStarted(worker, process.running))
        self.tell(ev.WorkerEnded(worker, None, 9, 0, "", tuple(process.ahead)))

    @rule()
    def time_passes(self):
        deadline = self.agent.next_deadline()
        self.now = self.now + 0.7 if deadline is None else deadline
        self.tell(ev.Tick())

    @rule()
    def connection_breaks(self):
        self.tell(ev.Disconnected())
        self.tell(ev.Connected())
        self.tell(ev.Accepted(2.0, 15.0))

    @precondition(lambda self: self.now > 40)
    @rule()
    def drain(self):
        self.tell(ev.DrainAsked("enough"))

    @invariant()
    def every_attempt_is_somewhere_exactly_once(self):
        if self.left:
            return
        held = self.agent.attempts()
        assert len(set(held)) == len(held)
        for attempt in self.assigned:
            assert self.reports[attempt] + (attempt in held) == 1

    @invariant()
    def idle_workers_and_waiting_attempts_do_not_meet(self):
        held = set(self.agent.attempts())
        for process in self.alive.values():
            given = {*process.ahead, *process.unheard} | ({process.running} - {None})
            assert self.left or given <= held
        is_idle = any(process == Worker() for worker, process in self.alive.items() if self.is_free(worker))
        assert self.left or not is_idle or not any(process.ahead for process in self.alive.values())


AgentMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestAgent = AgentMachine.TestCase
