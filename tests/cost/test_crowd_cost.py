"""What a large job costs on a large cluster, with all bookkeeping: counts and bytes, never seconds."""

from __future__ import annotations

import gc
import tracemalloc

from rddlite.base.ids import ShuffleId
from rddlite.testing.crowd import Crowd, Shape, big_job

N_TASKS = 20_000
REDUCES = 16
SHAPE = Shape(n_executors=100, rate=2_000.0)


def test_every_event_and_command_of_a_large_job_is_accounted_for() -> None:
    crowd = Crowd(SHAPE)
    crowd.submit(big_job(N_TASKS, REDUCES), bytes(REDUCES))
    crowd.run()
    failed, copied = N_TASKS // SHAPE.failing_every, N_TASKS // SHAPE.slow_every
    attempts = N_TASKS + 1 + failed + copied
    beats, rows = crowd.told.pop("Heartbeat"), crowd.rows
    assert crowd.told.pop("Tick", 0) < 20
    assert crowd.told == {"ExecutorJoined": 100, "JobSubmitted": 1, "TaskEnded": attempts}
    assert crowd.answered.pop("ExecutorExcluded", 0) <= 3
    assert crowd.answered == {
        "Launch": attempts, "AttemptEnded": attempts, "TaskCopied": copied, "Kill": copied,
        "StageStarted": 2, "StageEnded": 2, "DeliverResult": 1, "JobDone": 1,
    }  # fmt: skip
    assert beats <= 100 * (crowd.now + 1), "one per executor and second, whatever runs there"
    assert rows <= beats * SHAPE.slots


def test_a_partition_takes_less_than_a_kilobyte_with_all_that_is_known_of_it() -> None:
    n_tasks = 20_000
    crowd = Crowd(Shape(n_executors=200, rate=1_000.0, batch=100))
    plan = big_job(n_tasks, REDUCES)
    gc.collect()
    tracemalloc.start()
    try:
        crowd.submit(plan, bytes(REDUCES))
        crowd.run(n_steps=100)
        in_the_middle = tracemalloc.get_traced_memory()[0]
        crowd.run()
        assert crowd.answered["JobDone"] == 1
        at_the_end = tracemalloc.get_traced_memory()[0]
        crowd.scheduler.outputs_of(ShuffleId(0))
        with_table = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    outputs = crowd.scheduler.parts()[0].outputs.shuffles[ShuffleId(0)]
    assert outputs.sizes is not None
    assert len(outputs.sizes) == n_tasks * REDUCES
    assert in_the_middle < 1_000 * n_tasks, "with four attempts of five running or queued, and the books of the test"
    assert at_the_end < 250 * n_tasks
    assert with_table < 300 * n_tasks
    print(f"bytes per partition: {in_the_middle / n_tasks:.0f}, {at_the_end / n_tasks:.0f}, {with_table / n_tasks:.0f}")
