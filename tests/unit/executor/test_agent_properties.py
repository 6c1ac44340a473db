"""Whatever happens in whatever order: every attempt ends with one report, and no worker has two attempts."""

from __future__ import annotations

from collections import Counter

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


class AgentMachine(RuleBasedStateMachine):
    """Plays workers and driver against an agent; its model is what real processes would do."""

    @initialize(slots=st.integers(1, 3))
    def start(self, slots):
        self.now = 0.0
        self.slots = slots
        self.agent = Agent(slots, self.now)
        self.alive: dict[int, int | None] = {}  # worker to its attempt
        self.settling: set[int] = set()
        self.doomed: set[int] = set()
        self.assigned: list[int] = []
        self.reports: Counter[int] = Counter()
        self.left = False
        self.carry_out(self.agent.start(self.now))
        self.tell(ev.Connected())
        self.tell(ev.Accepted(2.0, 15.0))

    def tell(self, event):
        self.carry_out(self.agent.handle(event, self.now))
        deadline = self.agent.next_deadline()
        assert deadline is None or self.left or deadline > self.now

    def carry_out(self, commands):
        for command in commands:
            match command:
                case cmd.Spawn(worker):
                    assert worker not in self.alive
                    self.alive[worker] = None
                case cmd.Start(worker, task):
                    assert self.alive[worker] is None
                    assert worker not in self.settling
                    assert worker not in self.doomed
                    assert not self.reports[task.attempt]
                    self.alive[worker] = task.attempt
                case cmd.Interrupt(worker, attempt):
                    assert self.alive[worker] == attempt
                case cmd.Settle(worker):
                    self.settling.add(worker)
                case cmd.StopWorker(worker):
                    assert worker in self.alive
                    self.doomed.add(worker)
                case cmd.Report(attempt):
                    self.reports[attempt] += 1
                case cmd.Exit():
                    self.left = True

    def workers(self, *, running):
        return [worker for worker, attempt in self.alive.items() if (attempt is not None) is running]

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
        self.tell(ev.WorkerReady(worker, 1000 + worker))

    @precondition(lambda self: self.workers(running=True))
    @rule(data=st.data(), outcome=st.sampled_from([SUCCESS, STOPPED]))
    def attempt_ends(self, data, outcome):
        worker = data.draw(st.sampled_from(self.workers(running=True)))
        attempt, self.alive[worker] = self.alive[worker], None
        self.tell(ev.AttemptEnded(worker, attempt, outcome))

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
        del self.alive[worker]
        self.settling.discard(worker)
        self.doomed.discard(worker)
        self.tell(ev.WorkerEnded(worker, None, 9, 0, ""))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def memory_exceeded(self, data):
        self.tell(ev.MemoryExceeded(data.draw(st.sampled_from(sorted(self.alive))), 1, 2))

    @precondition(lambda self: self.workers(running=True))
    @rule(data=st.data())
    def worker_was_gone_before_its_attempt_started(self, data):
        worker = data.draw(st.sampled_from(self.workers(running=True)))
        attempt = self.alive.pop(worker)
        self.settling.discard(worker)
        self.doomed.discard(worker)
        self.tell(ev.NotStarted(worker, attempt))
        self.tell(ev.WorkerEnded(worker, None, 9, 0, ""))

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
        running = {attempt for attempt in self.alive.values() if attempt is not None}
        assert self.left or running <= set(self.agent.attempts())


AgentMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestAgent = AgentMachine.TestCase
