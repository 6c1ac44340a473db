"""A whole cluster in one thread and no time: the scheduler against executors that die, fall silent, hang and repeat
themselves.

`FakeCluster(seed)` draws a workload, options and faults from its seed and runs them on a heap of future events. After
every batch of events the scheduler's invariants are checked and a referee judges its commands; at the end nothing may
be left over. The same seed gives the same run; `log` holds every batch of events with its time and is enough to replay
the scheduler.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId
from rddlite.base.outcome import TaskOutcome
from rddlite.plan.model import JobPlan, MapStage, StageKey, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule import invariants
from rddlite.schedule.core import Scheduler, SchedulerOptions
from rddlite.schedule.options import PoolOptions
from rddlite.schedule.turn import Turn
from rddlite.testing.caches import Caches
from rddlite.testing.fakes import FakeExecutor, FakeTask, Held, Table, Tables
from rddlite.testing.faultplan import LOSSES, FaultPlan
from rddlite.testing.lineages import Saved
from rddlite.testing.members import Foul
from rddlite.testing.mishaps import Mishaps
from rddlite.testing.referee import Referee
from rddlite.testing.workload import HOSTS, random_workload, with_barriers

HEARTBEAT = 1.5
LATE = 1.0
MOST_EVENTS = 6000
LONGEST = 400.0
SETTLING = 9.0
SCARCE_AHEAD = 10
"""Enough for two tasks per slot at some executors, and for one when others have joined."""
POOL_OPTIONS = (PoolOptions("small", 1, 2), PoolOptions("large", 3))

MakeScheduler = Callable[[SchedulerOptions, Turn], Scheduler]


def random_options(random: Random) -> SchedulerOptions:
    """Options with small limits and short waits."""
    is_fair = random.random() < 0.3
    options = SchedulerOptions(
        max_failures=random.randint(1, 4),
        max_deaths=random.randint(2, 4),
        fail_fast=random.random() < 0.7,
        stage_max_attempts=random.randint(2, 4),
        launch_ahead=random.choice((0, 0, 1, 2)),
        short_task=1.0,
        quiet=4.0,
        silence=random.choice((5.0, 5.0, 5.0, 5.0, 3600.0)),
        grace=6.0,
        locality_wait=0.4,
        retry_wait=random.choice((0.3, 5.0)),
        kill_repeat=3.0,
        drain_limit=random.choice((2.0, 6.0)),
        exclude=random.random() < 0.8,
        exclude_after=random.choice((1.0, 2.0, 3.0)),
        exclude_half_life=random.choice((1.0, 5.0, 60.0)),
        speculation=random.random() < 0.8,
        speculation_quantile=random.choice((0.5, 0.75)),
        speculation_multiplier=random.choice((1.5, 2.0)),
        speculation_minimum=0.5,
        mode="FAIR" if is_fair else "FIFO",
        pools=POOL_OPTIONS if is_fair else (),
    )
    return replace(options, enough_ahead=SCARCE_AHEAD) if options.launch_ahead == 2 else options


class FakeCluster:
    """One simulated run. `now` is its time, `told` counts the events that the scheduler was given, by name.

    Raises (from `run`):
        Foul: the scheduler broke a rule of the referee, or got stuck, or left something behind.
        InvariantBroken, IllegalTransition: it noticed itself that it is wrong.
    """

    def __init__(self, seed: int, make: MakeScheduler = Scheduler, turn: Turn | None = None) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self._evictions: list[float] = []
        self.options = random_options(self.random)
        self.work = random_workload(self.random)
        other = Random(f"barriers of {seed}")  # so that they change nothing where there are none
        if other.random() < 0.2:
            self.work = with_barriers(other, self.work)
            most, wait = other.choice((None, None, None, 4)), other.choice((2.0, 9.0))
            self.options = replace(self.options, most_slots=most, barrier_wait=wait)
        self._gangs: dict[AttemptId, tuple[AttemptId, ...]] = {}
        self._begun: set[AttemptId] = set()
        self.faults = FaultPlan(self.random, self.work.is_impatient)
        self.caches = self._draw_caches(Random(f"caches of {seed}"))
        self.saved = self._draw_cuts(Random(f"cuts of {seed}"))
        self.scheduler = make(self.options, turn or Turn())
        self.referee = Referee(self.work, self.options)
        self.executors: dict[ExecutorId, FakeExecutor] = {}
        self.told: Counter[str] = Counter()
        self.log: list[tuple[tuple[ev.Event, ...], float]] = []
        self.answers: list[list[cmd.Command]] = []
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._inbox: list[ev.Event] = []
        self._busy_until = 0.0
        self._deadline = math.inf
        self._executor_ids = count()
        self._n_wanted = self.random.randint(1, 4)
        self._provider = self.random.choice(("prompt", "prompt", "prompt", "slow", "gives up", "silent"))
        self._n_spare = self.random.randint(2, 8)
        self._n_starting = 0
        self._in_use: Counter[ShuffleId] = Counter(
            shuffle for _, plan in self.work.submissions for shuffle in plan.maps
        )
        self._forgotten: set[ShuffleId] = set()
        self._to_register: set[ExecutorId] = set()
        self._mishaps = Mishaps(self)

    def _draw_cuts(self, random: Random) -> Saved | None:
        """In some runs lineages are cut between jobs. What was saved is of the first records, so that there are no
        others; and a job is submitted when no other ends, so that it is certain with whom it shares its stages.
        """
        if random.random() >= 0.25 or len(self.work.submissions) < 2:
            return None
        self.faults.is_steady = True
        self.faults.moments = [each for each in self.faults.moments if each[1] != "driver is late"]
        saved = Saved(self.work)
        saved.mark(random)
        return saved

    def _draw_caches(self, random: Random) -> Caches | None:
        """Some runs have cached RDDs. In those a map task gives the same records each time: what is cached of the
        first ones would be mixed with others, which no roll-back knows of.
        """
        if random.random() >= 0.3:
            return None
        caches = Caches(random, lambda executor: self.executors[executor].is_connected)
        caches.mark(self.work)
        self.faults.is_steady = True
        self._evictions = [random.uniform(0.1, 8.0) for _ in range(random.choice((0, 0, 1, 2, 3)))]
        self.faults.moments += [(random.uniform(0.5, 8.0), random.choice(LOSSES)) for _ in range(random.randint(0, 4))]
        return caches

    # The run

    def run(self) -> FakeCluster:
        """Let everything happen that happens, and check the end."""
        self._prepare()
        n_events = 0
        quiet_at = math.inf
        while True:
            if len(self.referee.ended) == len(self.work.submissions) and quiet_at == math.inf:
                quiet_at = self.now + SETTLING
            deadline = self._deadline
            moment = max(self._heap[0][0], self.now) if self._heap else math.inf
            if min(moment, deadline) > quiet_at or moment == deadline == math.inf:
                break
            n_events += 1
            if n_events > MOST_EVENTS or self.now > LONGEST:
                raise Foul(f"no end in sight after {n_events} events at {self.now}: live jobs {self._live()}")
            if max(deadline, self._busy_until) < moment:
                self.now = max(self.now, deadline, self._busy_until)
                self._flush(deadline)
            else:
                self.now = moment
                heappop(self._heap)[2]()
        self._finish()
        return self

    def _prepare(self) -> None:
        for moment, plan in self.work.submissions:
            self._at(moment, partial(self._tell, ev.JobSubmitted(plan)))
        for moment, job_id in self.work.cancels:
            self._at(moment - 0.06, partial(self._mishaps.spoil_some, 0.6))
            self._at(moment, partial(self.cancel_job, job_id))
        for _ in range(self._n_wanted):
            self.later(self.random.choice((0.0, 0.0, 0.2)), self._start_executor)
        if self.random.random() < 0.3:
            self._at(self.random.uniform(0.1, 6.0), self._cancel_something)
        for moment in self._evictions:
            assert self.caches is not None
            self._at(moment, partial(self._mishaps.evict, self.caches))
        for moment, name in self.faults.moments:
            self._at(moment, partial(self._mishaps.happen, name))

    def _finish(self) -> None:
        """All jobs have ended and everything is quiet: the scheduler must have forgotten them."""
        self._flush(None)
        if len(self.referee.ended) != len(self.work.submissions):
            raise Foul(f"nothing happens any more, but jobs {self._live()} have not ended")
        for shuffle in self.work.shuffles.keys() - self._forgotten:
            self._handle([ev.ShuffleForgotten(shuffle)])
        dag, tasks = self.scheduler.parts()
        left = {
            "jobs": dag.jobs, "stages": dag.stages, "shuffles": dag.outputs.shuffles,
            "pools": tasks.placing.pools.queues(),
            "copies": tasks.slow or tasks.n_copies,
            "reservations": [each for each in tasks.table.members.values() if each.is_exclusive and not each.load],
            "attempts": [each for each in tasks.table.members.values() if each.attempts and self._is_idle(each.id)],
            "leaving executors": self.referee.moving.forgotten(self.now),
        }  # fmt: skip
        for name, things in left.items():
            if things:
                raise Foul(f"{name} left over at the end: {things}")

    def _is_idle(self, executor_id: ExecutorId) -> bool:
        """Nothing runs there, and everything it said was heard."""
        executor = self.executors[executor_id]
        return executor.is_connected and not executor.tasks and not executor.unseen

    def _live(self) -> list[JobId]:
        return sorted(self.referee.live)

    # Time

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something after some time."""
        self._at(self.now + seconds, action)

    def _at(self, moment: float, action: Callable[[], object]) -> None:
        heappush(self._heap, (moment, next(self._order), action))

    # The driver's loop: an inbox, and the scheduler behind it

    def _tell(self, event: ev.Event) -> None:
        """An event reaches the driver; it is handled at once, or with the next one."""
        is_apart = isinstance(event, ev.OutputsLost) or (self.saved is not None and isinstance(event, ev.JobSubmitted))
        if is_apart:
            self._flush(None)
        self._inbox.append(event)
        if is_apart or self.random.random() < 0.8:
            self._flush(None)
        else:
            self.later(0.05, partial(self._flush, None))

    def delay_driver(self, seconds: float) -> None:
        """The driver's thread gets no time for a while."""
        self._busy_until = self.now + seconds
        self.later(seconds, partial(self._flush, None))

    def _flush(self, due: float | None) -> None:
        """The driver's loop wakes and handles what has arrived, then timers."""
        if self.now < self._busy_until:
            return
        deadline = self._deadline if due is None else due
        events, self._inbox = self._inbox, []
        if self.now >= deadline:
            if self.now - deadline > LATE:
                events.insert(0, ev.DriverDelayed(self.now - deadline))
            events.append(ev.Tick())
        if events:
            self._handle(events)

    def _handle(self, events: Sequence[ev.Event]) -> None:
        for event in events:
            self.told[type(event).__name__] += 1
            if isinstance(event, ev.TaskEnded) and event.executor in self.executors:
                self.executors[event.executor].unseen.pop(event.attempt, None)
            elif isinstance(event, ev.JobSubmitted) and self.saved is not None:
                self.saved.submitted(event.plan)
            elif isinstance(event, ev.ExecutorJoined):
                self.executors[event.executor].is_accepted = True
            elif isinstance(event, ev.ExecutorSuspected):
                self._to_register.add(event.executor)
            elif isinstance(event, ev.ExecutorReturned):
                self._to_register.discard(event.executor)
        self.log.append((tuple(events), self.now))
        self.referee.watch(events, self.now)
        commands = self.scheduler.handle_all(events, self.now)
        self.answers.append(commands)
        self.referee.judge(commands, self.now)
        deadline = self.scheduler.next_deadline()
        self._deadline = math.inf if deadline is None else deadline
        self.referee.check_deadline(self._deadline, self.now)
        if commands or not all(isinstance(event, ev.Heartbeat) for event in events):
            invariants.check(self.scheduler)
        for command in commands:
            self._perform(command)

    # Commands

    def _perform(self, command: cmd.Command) -> None:
        match command:
            case cmd.Launch():
                task = FakeTask(command, self._tables(command.key))
                self._send_down(command.executor, lambda executor: executor.run(task))
            case cmd.Kill(executor_id, attempt):
                self._send_down(executor_id, lambda executor: executor.kill(attempt))
            case cmd.ForgetOutput(executor_id, shuffle, index, attempt):
                self._send_down(executor_id, lambda executor: executor.held.pop((shuffle, index, attempt), None))
            case cmd.ForgetShuffle(shuffle):
                self._forgotten.add(shuffle)
            case cmd.ReleaseShuffle(shuffle):
                before = self.scheduler.parts()[1].next_attempt
                for executor_id in self.executors:
                    self._send_down(executor_id, lambda executor: executor.release(shuffle, before))
            case cmd.DropExecutor(executor_id):
                self._send_down(executor_id, lambda executor: executor.end_process())
            case cmd.SuspectExecutor(executor_id):
                self._to_register.add(executor_id)
            case cmd.MoveOutputs(_, target):
                self._send_down(target, partial(self._mishaps.adopt, move=command))
            case cmd.ReleaseExecutor(executor_id):
                self._send_down(executor_id, self._mishaps.release)
            case cmd.GangStarted(_, attempts):
                self._gangs.update(dict.fromkeys(attempts, attempts))
            case cmd.FindCached(stage, _, question):
                assert self.caches is not None
                delay, shuffles = self.caches.answer(command)
                self.later(delay, partial(self._tell, ev.CachedFound(stage, question, shuffles)))
            case cmd.WantExecutors():
                self._want_executors()
            case cmd.JobDone(job_id) | cmd.JobFailed(job_id, _):
                if isinstance(command, cmd.JobFailed) and isinstance(command.cause, cmd.TooFewSlots):
                    self.faults.note("too few slots")
                self._job_ended(job_id)

    def _tables(self, key: StageKey) -> Tables:
        plan = self.work.shuffles[key.shuffle] if isinstance(key, MapStage) else self._job(key.job).result
        if self._is_cut(key):
            return tuple((shuffle, None) for shuffle in plan.parents)
        tables = tuple((shuffle, self._table(plan, shuffle)) for shuffle in plan.parents)
        self.referee.check_tables(tables)
        return tables

    def _is_cut(self, key: StageKey) -> bool:
        return self.saved is not None and isinstance(key, MapStage) and self.saved.is_cut(key.shuffle)

    def _table(self, plan: StagePlan, shuffle: ShuffleId) -> Table | None:
        try:
            return self.scheduler.outputs_of(shuffle)[1]
        except LookupError:
            if not plan.has_cached:
                raise
            return None

    def _job(self, job_id: JobId) -> JobPlan:
        return next(plan for _, plan in self.work.submissions if plan.job_id == job_id)

    def _job_ended(self, job_id: JobId) -> None:
        for shuffle in self._job(job_id).maps:
            self._in_use[shuffle] -= 1
            if not self._in_use[shuffle]:
                event = ev.ShuffleForgotten if self.random.random() < 0.7 else ev.ShuffleReleased
                self.later(self.random.choice((0.0, 0.5, 3.0)), partial(self._tell, event(shuffle)))

    def forget_early(self) -> bool:
        """Nothing but jobs that run reaches some shuffle any more."""
        live = [self.referee.live[job_id] for job_id in self._live()]
        if not live or len(live) + len(self.referee.ended) < len(self.work.submissions):
            return False
        self._tell(ev.ShuffleForgotten(self.random.choice(sorted(self.random.choice(live).maps))))
        return True

    def _cancel_something(self) -> None:
        live = self._live()
        if live and self.random.random() < 0.6:
            self.cancel_job(self.random.choice(live))
        else:
            self._tell(ev.GroupCancelled(self.random.choice((None, "a", "b", "c")), "a user"))

    def cancel_job(self, job_id: JobId) -> None:
        """A user has enough of this job."""
        self._tell(ev.JobCancelled(job_id, "a user"))

    # Messages

    def _send_down(self, executor_id: ExecutorId, action: Callable[[FakeExecutor], object]) -> None:
        """A control message to an executor: lost when it is not connected, which the driver mostly notices."""
        executor = self.executors.get(executor_id)
        if executor is None or not executor.is_connected:
            if executor is not None and self.random.random() < 0.5:
                self.later(0.01, partial(self._tell, ev.ExecutorSuspected(executor_id, "could not send")))
            return
        is_late = self.random.random() < self.faults.late_rate
        delay = self.random.uniform(0.3, 1.5) if is_late else self.random.uniform(0.005, 0.03)
        self.later(delay, partial(self._arrive, executor, action))

    def _arrive(self, executor: FakeExecutor, action: Callable[[FakeExecutor], object]) -> None:
        if executor.is_alive and executor.is_connected:
            action(executor)

    def send_up(self, executor: FakeExecutor, event: ev.Event) -> None:
        """A message to the driver: on time, late (and so out of order), or twice."""
        times = 2 if self.random.random() < self.faults.repeat_rate else 1
        for _ in range(times):
            is_late = self.random.random() < self.faults.late_rate
            delay = self.random.uniform(0.5, 3.0) if is_late else self.random.uniform(0.005, 0.03)
            self.later(delay, partial(self._tell, event))
            if is_late:
                self.faults.note("late message")
        if times > 1:
            self.faults.note("repeated message")

    def report(self, executor: FakeExecutor, attempt: AttemptId, outcome: TaskOutcome) -> None:
        """An attempt ended; a report that cannot be sent now is sent when the executor is connected again."""
        if executor.is_connected:
            self.send_up(executor, ev.TaskEnded(executor.id, attempt, outcome))

    # Executors

    def begin(self, executor: FakeExecutor, task: FakeTask) -> None:
        """An attempt starts: its fate, and how long it takes."""
        self._begun.add(task.launch.attempt)
        name = self.faults.on_start(task)
        if name == "executor dies":
            self.later(self.random.uniform(0.0, 0.5), partial(self._mishaps.die, executor))
        elif name == "hangs":
            self.later(self.random.uniform(2.0, 5.0), partial(self._mishaps.end_hang, executor, task))
        seconds = self.random.uniform(0.05, 0.4) if self.random.random() < 0.8 else self.random.uniform(0.4, 2.5)
        task.records = int(1000 * seconds * self.random.uniform(0.9, 1.1)) if self.faults.counts_records else 0
        task.seconds = seconds * self.random.uniform(5.0, 15.0) + 1.0 if name == "straggles" else seconds

    def has_met(self, task: FakeTask) -> bool:
        """Whether all have begun that this attempt waits for."""
        key, attempt = task.launch.key, task.launch.attempt
        plan = self.work.shuffles[key.shuffle] if isinstance(key, MapStage) else self._job(key.job).result
        return not plan.is_barrier or (attempt in self._gangs and self._begun.issuperset(self._gangs[attempt]))

    def make(self, task: FakeTask) -> int:
        """What an attempt makes of what it has read."""
        return self.work.make(task.launch.key, task.launch.index, task.inputs, task.mood)

    def find(self, executor: ExecutorId, held: Held) -> int | str:
        """Read a map output of any executor."""
        return self.executors[executor].read(held)

    def cached(self, task: FakeTask, shuffle: ShuffleId) -> list[int] | None:
        """What is kept, or saved, of what an attempt would read."""
        if self.saved is not None and self._is_cut(task.launch.key):
            return self.saved.read(shuffle)
        return None if self.caches is None else self.caches.find(task.launch, shuffle)

    def keep(self, task: FakeTask, shuffle: ShuffleId, values: list[int]) -> None:
        """An attempt has read this."""
        if self.caches is not None:
            others = [each.id for each in self.executors.values() if each.is_connected]
            self.caches.keep(task.launch, shuffle, values, others)

    def _start_executor(self) -> None:
        executor_id = ExecutorId(str(next(self._executor_ids)))
        executor = FakeExecutor(self, executor_id, self.random.choice(HOSTS[:3]), self.random.randint(1, 3))
        self.executors[executor_id] = executor
        self.send_up(executor, ev.ExecutorJoined(executor_id, executor.host, executor.slots))
        self.later(HEARTBEAT, partial(self._beat, executor))

    def _beat(self, executor: FakeExecutor) -> None:
        if executor.is_alive:
            if executor.is_connected and executor.id in self._to_register:
                self._mishaps.register(executor)
            elif executor.is_connected:
                self.later(0.01, partial(self._tell, ev.Heartbeat(executor.id, executor.progress())))
            self.later(HEARTBEAT, partial(self._beat, executor))

    def _want_executors(self) -> None:
        n_there = sum(1 for each in self.executors.values() if each.is_alive and each.is_connected)
        n_missing = self._n_wanted - n_there - self._n_starting
        if self._provider == "silent" or n_missing <= 0:
            return
        if self._provider == "gives up" or n_missing > self._n_spare:
            self.later(0.5, partial(self._tell, ev.ProviderFailed("no more machines")))
            return
        self._n_spare -= n_missing
        self._n_starting += n_missing
        for _ in range(n_missing):
            delay = self.random.uniform(0.3, 1.5) if self._provider == "prompt" else self.random.uniform(3.0, 7.0)
            self.later(delay, self._replace)

    def _replace(self) -> None:
        self._n_starting -= 1
        self._start_executor()
