"""Barrier stages with real tasks: what they tell each other, what cannot be, and how waiting ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite import BarrierTaskContext, Context, TaskContext
from rddlite.errors import BarrierBroken, JobCancelled, JobFailed, UnsupportedBarrier
from tests.helpers.background import in_the_background
from tests.helpers.cluster import wait_until

pytestmark = pytest.mark.local
SLOTS = 3
QUIET = {"progress.show": "false", "debug.checkInvariants": "true"}


@pytest.fixture(scope="module")
def sc() -> Iterator[Context]:
    with Context(f"local[{SLOTS}]", conf=QUIET) as context:
        yield context


def talk(part: Iterable[int]) -> list[Any]:
    context = BarrierTaskContext.get()
    context.barrier()
    first = context.allGather(f"{context.partitionId()}:{sum(part)}")
    second = context.allGather()
    return [(first, second, len(context.getTaskInfos()))]


def test_all_tasks_hear_all_messages_in_order_of_partitions(sc: Context) -> None:
    said = [f"{i}:{sum(range(i * 4, i * 4 + 4))}" for i in range(SLOTS)]
    expected = [(said, [""] * SLOTS, SLOTS)] * SLOTS
    assert sc.range(12, numSlices=SLOTS).barrier().mapPartitions(talk).collect() == expected


def test_it_is_a_task_context_and_there_is_one_for_each_task(sc: Context) -> None:
    def same(index: int, part: Iterable[int]) -> list[bool]:
        context = BarrierTaskContext.get()
        others = BarrierTaskContext.get(), TaskContext.get(), TaskContext()
        return [all(each is context for each in others), context.partitionId() == index]

    found = sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitionsWithIndex(same).collect()
    assert found == [True] * 2 * SLOTS


def test_a_task_of_another_stage_has_a_plain_one(sc: Context) -> None:
    def kind(_: int) -> bool:
        return type(TaskContext.get()) is TaskContext

    assert sc.range(SLOTS, numSlices=SLOTS).map(kind).collect() == [True] * SLOTS


def test_large_messages_and_any_text(sc: Context) -> None:
    def exchange(part: Iterable[int]) -> list[bool]:
        text = "\udcff\0é" + "x" * 3_000_000
        return [BarrierTaskContext.get().allGather(text) == [text] * SLOTS]

    assert sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(exchange).collect() == [True] * SLOTS


def test_many_meetings_with_output_in_between(sc: Context, capfd: pytest.CaptureFixture[str]) -> None:
    def chatter(part: Iterable[int]) -> list[int]:
        context = BarrierTaskContext.get()
        total = 0
        for turn in range(100):
            print("turn", turn, flush=True)
            total += sum(map(int, context.allGather(str(turn * context.partitionId()))))
        return [total]

    expected = sum(turn * i for turn in range(100) for i in range(SLOTS))
    assert sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(chatter).collect() == [expected] * SLOTS
    assert "turn 0" in capfd.readouterr().out


def test_before_and_after_a_shuffle_and_twice_in_one_stage(sc: Context) -> None:
    pairs = sc.range(30, numSlices=5).map(lambda x: (x % 7, x)).reduceByKey(lambda a, b: a + b, SLOTS)
    one = pairs.barrier().mapPartitions(lambda part: [(BarrierTaskContext.get().allGather("a"), sum(1 for _ in part))])
    two = one.barrier().mapPartitions(lambda part: [(*x, BarrierTaskContext.get().allGather("b")) for x in part])
    again = two.map(lambda x: (len(x[0]) + len(x[2]), x[1])).reduceByKey(lambda a, b: a + b, 2)
    assert again.collect() == [(2 * SLOTS, 7)]
    # A stage without a barrier, in the same workers.
    assert sc.range(SLOTS, numSlices=SLOTS).map(lambda x: has_context()).collect() == [False] * SLOTS


def has_context() -> bool:
    try:
        BarrierTaskContext.get()
    except RuntimeError:
        return False
    return True


def test_there_is_none_on_the_driver() -> None:
    with pytest.raises(RuntimeError, match="only inside"):
        BarrierTaskContext.get()
    with pytest.raises(RuntimeError, match="only inside"):
        BarrierTaskContext()


def waits(part: Iterable[int]) -> Iterable[int]:
    BarrierTaskContext.get().barrier()
    return part


def test_too_many_partitions_are_refused_before_anything_runs(sc: Context) -> None:
    with pytest.raises(JobFailed, match=rf"needs {SLOTS + 1} slots.*this master has {SLOTS}: use at most {SLOTS} par"):
        sc.range(SLOTS + 1, numSlices=SLOTS + 1).barrier().mapPartitions(waits).collect()


@pytest.mark.parametrize(
    "run",
    [
        lambda rdd: rdd.union(rdd.context.range(2)).collect(),
        lambda rdd: rdd.coalesce(1).collect(),
        lambda rdd: rdd.first(),
        lambda rdd: rdd.take(1),
        lambda rdd: rdd.cartesian(rdd.context.range(2, numSlices=2)).collect(),
        lambda rdd: list(rdd.toLocalIterator()),
        lambda rdd: rdd.zip(rdd.context.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(waits)).collect(),
    ],
    ids=["union", "coalesce", "first", "take", "cartesian", "toLocalIterator", "zip of two"],
)
def test_what_cannot_be_part_of_a_barrier_stage(sc: Context, run: Any) -> None:
    with pytest.raises(UnsupportedBarrier, match=r"use collect|stage of its own"):
        run(sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(waits))


def test_what_can_be(sc: Context, capsys: pytest.CaptureFixture[str]) -> None:
    rdd = sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(waits)
    assert rdd.zip(sc.range(SLOTS, numSlices=SLOTS)).collect() == [(i, i) for i in range(SLOTS)]
    assert sorted(rdd.repartition(2).take(SLOTS)) == list(range(SLOTS))
    rdd.explain()
    assert "run all at once (barrier)" in capsys.readouterr().out


def test_different_calls_fail_instead_of_hanging(sc: Context) -> None:
    def differ(index: int, part: Iterable[int]) -> Iterable[int]:
        context = BarrierTaskContext.get()
        context.barrier() if index else context.allGather("x")
        return part

    with pytest.raises(JobFailed, match="must make the same calls in the same order") as caught:
        sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitionsWithIndex(differ).collect()
    assert isinstance(caught.value.__cause__, BarrierBroken)


def test_a_task_that_ends_without_a_call_fails_the_others(sc: Context) -> None:
    def leave(index: int, part: Iterable[int]) -> Iterable[int]:
        if index != 1:
            BarrierTaskContext.get().barrier()
        return part

    with pytest.raises(JobFailed, match="partition 1 has ended"):
        sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitionsWithIndex(leave).collect()


def test_a_task_that_raises_is_the_error_and_nobody_waits_for_it(sc: Context) -> None:
    def fail(index: int, part: Iterable[int]) -> Iterable[int]:
        if index == 1:
            raise KeyError("of the user")
        BarrierTaskContext.get().barrier()
        return part

    with pytest.raises(JobFailed, match="of the user"):
        sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitionsWithIndex(fail).collect()
    assert sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(waits).count() == SLOTS


def test_a_job_that_waits_at_a_barrier_can_be_cancelled(sc: Context, tmp_path: Path) -> None:
    def block(index: int, part: Iterable[int]) -> Iterable[int]:
        (tmp_path / str(index)).touch()
        if index == 0:
            time.sleep(600)
        BarrierTaskContext.get().barrier()
        return part

    def cancel() -> None:
        wait_until(lambda: len(os.listdir(tmp_path)) == SLOTS, "all tasks run")
        sc.cancelAllJobs()

    with in_the_background(cancel), pytest.raises(JobCancelled):
        sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitionsWithIndex(block).collect()
    assert sc.range(SLOTS, numSlices=SLOTS).barrier().mapPartitions(waits).count() == SLOTS


def test_child_processes_and_other_threads_do_not_wait(sc: Context) -> None:
    def wrong(part: Iterable[int]) -> list[Any]:
        context = BarrierTaskContext.get()
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                context.barrier()
            except RuntimeError as error:
                os.write(write, str(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
        return [os.read(read, 1000).decode()]

    found = sc.range(1, numSlices=1).barrier().mapPartitions(wrong).collect()
    assert found[0].startswith("only one thread of a task")


def test_wrong_arguments(sc: Context) -> None:
    with pytest.raises(TypeError, match="f must be a function"):
        sc.range(3).barrier().mapPartitions(3)  # type: ignore[arg-type]
    with pytest.raises(JobFailed, match="allGather: message must be a str, not int"):
        sc.range(1, numSlices=1).barrier().mapPartitions(
            lambda part: BarrierTaskContext.get().allGather(3)  # type: ignore[arg-type]
        ).collect()


def test_two_threads_with_barrier_stages_and_others_beside(sc: Context) -> None:
    def job(n: int) -> None:
        for _ in range(5):
            assert sc.range(n, numSlices=n).barrier().mapPartitions(waits).count() == n

    with in_the_background(lambda: job(2)), in_the_background(lambda: job(3)):
        for _ in range(5):
            assert sc.range(20, numSlices=6).sum() == 190
