"""What scheduling costs, in counts: messages, function calls and bytes per task. Never in seconds."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import FrameType

import pytest

from rddlite.base.metrics import TaskMetrics
from rddlite.base.outcome import InlineResult, MapStatus, Success
from rddlite.plan.model import JobPlan, MapStage, ResultStage, StagePlan
from rddlite.schedule import commands as cmd
from rddlite.schedule import events as ev
from rddlite.schedule.core import Scheduler, SchedulerOptions
from rddlite.testing.crowd import big_job

METRICS = TaskMetrics()
Hosts = tuple[tuple[str, ...], ...]


def cluster(n_executors: int, slots: int) -> Scheduler:
    scheduler = Scheduler(SchedulerOptions())
    scheduler.handle_all([ev.ExecutorJoined(str(n), f"h{n}", slots) for n in range(n_executors)], 0.0)
    return scheduler


def success(launch: cmd.Launch, sizes: bytes = b"") -> ev.TaskEnded:
    value: InlineResult | MapStatus = InlineResult(b"")
    if isinstance(launch.key, MapStage):
        value = MapStatus(launch.executor, launch.attempt, sizes, 0, 0)
    return ev.TaskEnded(launch.executor, launch.attempt, Success(value, METRICS))


class Play:
    """Runs a job to its end; `told` and `answered` count events and commands by name."""

    def __init__(self, scheduler: Scheduler, plan: JobPlan) -> None:
        self._scheduler = scheduler
        self._running: deque[cmd.Launch] = deque()
        self.told: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.now = 0.0
        self._handle([ev.JobSubmitted(plan)])

    def _handle(self, events: list[ev.Event]) -> None:
        self.told.update(type(event).__name__ for event in events)
        commands = self._scheduler.handle_all(events, self.now)
        self._scheduler.next_deadline()
        self.answered.update(type(command).__name__ for command in commands)
        self._running.extend(command for command in commands if type(command) is cmd.Launch)

    def end(self, n_tasks: int, sizes: Callable[[], bytes] = bytes, batch: int = 1) -> int:
        """Let that many attempts succeed, the oldest first, `batch` in each call; answers how many there were."""
        n_ended = 0
        while self._running and n_ended < n_tasks:
            ended = [self._running.popleft() for _ in range(min(batch, len(self._running)))]
            n_ended += len(ended)
            self.now += 0.001
            self._handle([success(launch, sizes()) for launch in ended])
        return n_ended

    def end_all(self, batch: int = 1) -> None:
        while self.end(1000, batch=batch):
            pass


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Counts the function calls, Python's and C's, that are made inside, without those of the garbage collector."""
    calls = [0]

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call"):
            calls[0] += 1

    before = sys.getprofile()
    gc.collect()
    gc.disable()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        gc.enable()


def calls_per_task(n_tasks: int, n_executors: int, slots: int, hosts: Hosts = ()) -> float:
    scheduler = cluster(n_executors, slots)
    with counted_calls() as calls:
        Play(scheduler, big_job(n_tasks, hosts=hosts)).end_all()
    return calls[0] / n_tasks


def test_a_task_costs_one_launch_one_report_and_one_note() -> None:
    play = Play(cluster(4, 4), big_job(1000))
    play.end_all()
    assert play.told == {"JobSubmitted": 1, "TaskEnded": 1001}
    assert play.answered == {
        "Launch": 1001, "AttemptEnded": 1001, "DeliverResult": 1, "StageStarted": 2, "StageEnded": 2, "JobDone": 1,
    }  # fmt: skip


def test_work_per_task_does_not_grow_with_the_number_of_tasks() -> None:
    small, large = calls_per_task(1_000, 4, 4), calls_per_task(10_000, 4, 4)
    assert large < 1.2 * small


def test_work_per_task_does_not_grow_with_the_number_of_executors() -> None:
    small, large = calls_per_task(10_000, 4, 4), calls_per_task(10_000, 400, 4)
    assert large < 1.2 * small


def test_work_per_task_does_not_grow_with_hosts_either() -> None:
    """Half of the executors have no data: their slots wait, and must not be looked at again with every event."""

    def hosts(n_tasks: int, n_executors: int) -> Hosts:
        return tuple((f"h{index % n_executors // 2}",) for index in range(n_tasks))

    small = calls_per_task(4_000, 4, 4, hosts(4_000, 4))
    large = calls_per_task(4_000, 200, 4, hosts(4_000, 200))
    assert large < 1.3 * small


def test_work_per_task_does_not_grow_with_other_jobs_that_wait() -> None:
    def cost(n_others: int) -> float:
        scheduler = cluster(4, 4)
        play = Play(scheduler, big_job(4_000))
        others = [JobPlan(n, range(9), StagePlan(ResultStage(n), (), 9)) for n in range(1, n_others + 1)]
        scheduler.handle_all([ev.JobSubmitted(plan) for plan in others], 0.0)
        with counted_calls() as calls:
            play.end(3_000)
        return calls[0] / 3_000

    assert cost(200) < 1.2 * cost(2)


@pytest.mark.parametrize(("n_maps", "bytes_each"), [(500, 1.1), (1_000, 0.1)])
def test_one_byte_is_kept_per_map_and_reduce_partition_or_none_where_they_are_too_many(
    n_maps: int, bytes_each: float
) -> None:
    n_reduces = 20_000
    scheduler = cluster(10, 4)
    plan = big_job(n_maps, n_out=n_reduces)
    gc.collect()
    tracemalloc.start()
    try:
        Play(scheduler, plan).end(n_maps, lambda: bytes(n_reduces))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < n_maps * n_reduces * bytes_each


def test_the_table_of_outputs_is_made_once_for_all_readers() -> None:
    scheduler = cluster(1, 4)
    Play(scheduler, big_job(1_000)).end(1_000)
    first = scheduler.outputs_of(0)
    with counted_calls() as calls:
        assert scheduler.outputs_of(0)[1] is first[1]
    assert calls[0] < 10


def test_a_lost_executor_costs_what_it_held_not_what_there_is() -> None:
    def cost(n_tasks: int, n_executors: int) -> int:
        scheduler = cluster(n_executors, 4)
        Play(scheduler, big_job(n_tasks)).end(n_tasks)
        with counted_calls() as calls:
            scheduler.handle(ev.ExecutorLost("0", "died"), 1e6)
        return calls[0]

    assert cost(20_000, 200) < 1.5 * cost(1_000, 10)


def test_heartbeats_cost_the_same_however_many_executors_there_are() -> None:
    def cost(n_executors: int) -> int:
        scheduler = cluster(n_executors, 4)
        with counted_calls() as calls:
            scheduler.handle(ev.Heartbeat("0"), 1.0)
            scheduler.next_deadline()
        return calls[0]

    assert cost(1_000) == cost(2)


def test_a_million_tasks_on_sixteen_thousand_slots() -> None:
    plan = big_job(1_000_000)
    scheduler = cluster(1_000, 16)
    play = Play(scheduler, plan)
    assert play.answered["Launch"] == 32_000
    play.end(20_000)
    assert play.answered["Launch"] == 52_000
    assert sum(1 for _ in islice(scheduler.executors(), 1_000)) == 1_000


def test_an_attempt_is_one_object_to_the_garbage_collector_and_a_map_output_none() -> None:
    def tracked() -> int:
        gc.collect()
        return len(gc.get_objects())

    scheduler = cluster(100, 16)
    before = tracked()
    commands = scheduler.handle_all([ev.JobSubmitted(big_job(20_000))], 1.0)
    ends = [success(command) for command in commands if type(command) is cmd.Launch]
    n_attempts = len(ends)
    commands.clear()
    in_flight = tracked() - before
    assert n_attempts == 1_600 * 3, "two wait for each slot"
    assert in_flight < 4 * n_attempts + 400, "itself, and the three that the report of its end consists of"
    for _ in range(40):
        ends = [success(each) for each in scheduler.handle_all(ends, 2.0) if type(each) is cmd.Launch]
    del ends
    assert not scheduler.parts()[0].jobs
    assert tracked() - before < 400
