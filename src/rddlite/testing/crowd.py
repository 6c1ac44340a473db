"""A thousand executors and a million tasks in one thread: what the scheduler costs, without anything around it.

`Crowd` runs one job to its end as the driver would: reports come in batches in the order of launches, heartbeats tell
how far attempts are, a few tasks fail, a few are slow until a copy of them has won. Everything follows from counters.
`handle` is the scheduler's `handle_all`, to be wrapped by whoever wants to measure it; heartbeats are batches of their
own there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId
from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import Failure, InlineResult, Killed, MapStatus, Raised, Success, TaskOutcome
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.core import Scheduler, SchedulerOptions

_RECORDS = 1000
_FINGERPRINT = bytes(range(8))


@dataclass(frozen=True, slots=True)
class Shape:
    """A cluster and how it works: `rate` tasks end per second and are told of in batches of `batch`. One of
    `failing_every` first attempts raises, one of `slow_every` ends only after its copy (0: none).
    """

    n_executors: int = 1_000
    slots: int = 16
    batch: int = 64
    rate: float = 5_000.0
    heartbeat: float = 1.0
    failing_every: int = 1_000
    slow_every: int = 10_000


def big_job(n_tasks: int, n_out: int = 1, hosts: tuple[tuple[str, ...], ...] = ()) -> JobPlan:
    """A map stage of this size, whose tasks prefer these hosts, and a result stage of one task that reads it."""
    job, shuffle = JobId(0), ShuffleId(0)
    maps = {shuffle: StagePlan(MapStage(shuffle), (), n_tasks, n_out, hosts)}
    return JobPlan(job, range(1), StagePlan(ResultStage(job), (shuffle,), 1), maps)


class Crowd:
    """Executors that all do as they are told. `told` and `answered` count events and commands by name."""

    def __init__(self, shape: Shape | None = None, options: SchedulerOptions | None = None) -> None:
        self.shape = shape or Shape()
        self.scheduler = Scheduler(options)
        self.handle: Callable[[Sequence[ev.Event], float], list[cmd.Command]] = self.scheduler.handle_all
        self.now = 0.0
        self.told: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.rows = 0
        self._seconds = self.shape.n_executors * self.shape.slots / self.shape.rate
        self._metrics = TaskMetrics(seconds=self._seconds, records_read=_RECORDS)
        self._sizes = b""
        self._waiting: deque[cmd.Launch] = deque()
        self._launches: dict[AttemptId, cmd.Launch] = {}
        self._slow: dict[AttemptId, cmd.Launch] = {}
        self._at: dict[ExecutorId, dict[AttemptId, float]] = {}
        self._beats = self._beaten_at = 0.0
        self._next_beat = 0
        ids = [ExecutorId(str(number)) for number in range(self.shape.n_executors)]
        self._at = {each: {} for each in ids}
        self._tell([ev.ExecutorJoined(each, f"host-{each}", self.shape.slots) for each in ids])

    def submit(self, plan: JobPlan, sizes: bytes = b"") -> None:
        """A job begins; its map outputs have these sizes."""
        self._sizes = sizes
        self._tell([ev.JobSubmitted(plan)])

    def run(self, n_steps: int | None = None) -> None:
        """Let attempts end in batches until none is left, or for so many batches."""
        while self._launches and n_steps != 0:
            n_steps = None if n_steps is None else n_steps - 1
            self._step()

    def _step(self) -> None:
        shape = self.shape
        self.now += shape.batch / shape.rate
        events: list[ev.Event] = []
        while self._waiting and len(events) < shape.batch:
            launch = self._waiting.popleft()
            if launch.attempt in self._launches:
                outcome = self._outcome(launch)
                if outcome is None:
                    self._slow[launch.attempt] = launch
                else:
                    events.append(self._ended(launch, outcome))
        if not events:
            self.now += shape.heartbeat  # only slow ones are left
        deadline = self.scheduler.next_deadline()
        if deadline is not None and self.now >= deadline:
            events.append(ev.Tick())
        if events:
            self._tell(events)
        if beats := self._heartbeats():
            self._tell(beats)

    def _outcome(self, launch: cmd.Launch) -> TaskOutcome | None:
        """How this attempt ends; None for not yet."""
        shape = self.shape
        if not launch.number and shape.failing_every and launch.index % shape.failing_every == 1:
            return Raised(Failure("OSError", "on purpose", "", "", is_transient=True), retryable=True)
        if not launch.number and shape.slow_every and launch.index % shape.slow_every == 2:
            return None
        if isinstance(launch.key, MapStage):
            return Success(MapStatus(launch.executor, launch.attempt, self._sizes, 1, 1, _FINGERPRINT), self._metrics)
        return Success(InlineResult(b""), self._metrics)

    def _ended(self, launch: cmd.Launch, outcome: TaskOutcome) -> ev.TaskEnded:
        del self._launches[launch.attempt]
        del self._at[launch.executor][launch.attempt]
        return ev.TaskEnded(launch.executor, launch.attempt, outcome)

    def _heartbeats(self) -> list[ev.Event]:
        shape, ids = self.shape, list(self._at)
        self._beats += shape.n_executors * (self.now - self._beaten_at) / shape.heartbeat
        self._beaten_at = self.now
        beats: list[ev.Event] = []
        while self._beats >= 1:
            self._beats -= 1
            executor = ids[self._next_beat % len(ids)]
            self._next_beat += 1
            beats.append(ev.Heartbeat(executor, self._progress(executor)))
        return beats

    def _progress(self, executor: ExecutorId) -> tuple[tuple[AttemptId, float, int], ...]:
        """What runs there: the first of what was launched. It began when it was seen running first."""
        attempts = self._at[executor]
        running = list(islice(attempts, self.shape.slots))
        for attempt in running:
            attempts[attempt] = attempts[attempt] or self.now
        self.rows += len(running)
        return tuple(self._row(attempt, self.now - attempts[attempt]) for attempt in running)

    def _row(self, attempt: AttemptId, seconds: float) -> tuple[AttemptId, float, int]:
        return attempt, seconds, 1 if attempt in self._slow else int(_RECORDS * seconds / self._seconds)

    def _tell(self, events: Sequence[ev.Event]) -> None:
        self.told.update(type(event).__name__ for event in events)
        commands = self.handle(events, self.now)
        self.answered.update(type(command).__name__ for command in commands)
        for command in commands:
            if type(command) is cmd.Launch:
                self._waiting.append(command)
                self._launches[command.attempt] = command
                self._at[command.executor][command.attempt] = 0.0
            elif type(command) is cmd.Kill and command.attempt in self._launches:
                launch = self._slow.pop(command.attempt, self._launches[command.attempt])
                self._tell([self._ended(launch, Killed(command.why))])
