"""Accumulators and broadcasts, against plain sums and values, where tasks run in this process and in workers."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rddlite import Accumulator, AccumulatorParam, Context
from rddlite.errors import (
    BroadcastDestroyed,
    DriverOnly,
    JobError,
    JobFailed,
    NestedRDD,
    NotPicklable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = [n * n % 17 for n in range(100)]


@pytest.fixture(scope="module", params=["inline", "local[2]"])
def sc(request: pytest.FixtureRequest) -> Iterator[Context]:
    with Context(request.param, "shared") as context:
        yield context


class Counts(AccumulatorParam[Any]):
    def zero(self, value: Any) -> Any:
        return Counter()

    def addInPlace(self, value1: Any, value2: Any) -> Any:
        value1.update(value2)
        return value1


class TestAccumulators:
    @pytest.mark.parametrize("start", [0, 0.5, 2j, True])
    def test_numbers(self, sc: Context, start: Any) -> None:
        acc = sc.accumulator(start)
        sc.parallelize(NUMBERS, 7).foreach(lambda x: acc.add(x))
        assert acc.value == start + sum(NUMBERS)

    def test_the_operator(self, sc: Context) -> None:
        acc = sc.accumulator(10)

        def count(part: Iterator[int]) -> None:
            nonlocal acc
            for x in part:
                acc += x

        sc.parallelize(NUMBERS, 3).foreachPartition(count)
        assert acc.value == 10 + sum(NUMBERS)
        assert isinstance(acc, Accumulator)

    def test_sums_that_are_changed_in_place(self, sc: Context) -> None:
        acc = sc.accumulator(Counter(), Counts())
        for _ in range(2):
            sc.parallelize(NUMBERS, 5).foreach(lambda x: acc.add({x: 1}))
        assert acc.value == {key: 2 * count for key, count in Counter(NUMBERS).items()}

    def test_large_sums(self, sc: Context) -> None:
        acc = sc.accumulator(np.zeros(100_000), Arrays())
        sc.range(40, numSlices=8).foreach(lambda x: acc.add(np.full(100_000, float(x))))
        assert acc.value.tolist() == [780.0] * 100_000

    def test_floats_add_up_to_the_same_sum_every_time(self, sc: Context) -> None:
        sums = set()
        for _ in range(5):
            acc = sc.accumulator(0.0)
            sc.parallelize(NUMBERS, 16).foreach(lambda x, acc=acc: acc.add(0.1 * x))
            sums.add(acc.value)
        assert len(sums) == 1

    def test_what_comes_before_a_shuffle_counts_once(self, sc: Context) -> None:
        acc = sc.accumulator(0)
        pairs = sc.parallelize(NUMBERS, 4).map(lambda x: (acc.add(1), (x, 1))[1]).reduceByKey(lambda a, b: a + b)
        assert dict(pairs.collect()) == Counter(NUMBERS)
        assert acc.value == len(NUMBERS)
        pairs.count()
        pairs.map(lambda kv: kv[0]).collect()
        assert acc.value == len(NUMBERS)

    def test_what_several_actions_compute_counts_for_each(self, sc: Context) -> None:
        acc = sc.accumulator(0)
        mapped = sc.parallelize(NUMBERS, 4).map(lambda x: (acc.add(1), x)[1])
        mapped.count()
        mapped.count()
        assert acc.value == 2 * len(NUMBERS)

    def test_several_in_one_job_and_one_in_several_functions(self, sc: Context) -> None:
        first, second = sc.accumulator(0), sc.accumulator(0)
        pairs = sc.parallelize(NUMBERS, 4).map(lambda x: (first.add(1), second.add(x), (x, 1))[2])
        pairs.groupByKey(3).foreach(lambda group: first.add(1))
        assert first.value == len(NUMBERS) + len(set(NUMBERS))
        assert second.value == sum(NUMBERS)

    def test_a_failed_job_adds_what_was_accepted_and_nothing_of_the_failed_task(self, sc: Context) -> None:
        acc = sc.accumulator(0)

        def part(index: int, records: Iterator[int]) -> Iterator[int]:
            acc.add(1000 if index == 2 else 1)
            if index == 2:
                raise ValueError("no")
            return records

        with pytest.raises(JobFailed, match="no"):
            sc.parallelize(NUMBERS, 3).mapPartitionsWithIndex(part).count()
        assert 0 <= acc.value <= 2

    def test_a_stopped_take_counts_what_it_ran(self, sc: Context) -> None:
        acc = sc.accumulator(0)
        assert sc.parallelize(NUMBERS, 10).map(lambda x: (acc.add(1), x)[1]).take(3) == NUMBERS[:3]
        assert acc.value == 3

    def test_a_task_cannot_read_it(self, sc: Context) -> None:
        acc = sc.accumulator(0)
        with pytest.raises(JobFailed, match="cannot be accessed inside tasks") as caught:
            sc.range(3).map(lambda x: acc.value).collect()
        assert isinstance(caught.value.__cause__, DriverOnly)

    def test_a_task_cannot_make_one(self, sc: Context) -> None:
        with pytest.raises(NestedRDD):
            sc.range(3).map(lambda x: sc.accumulator(0)).collect()

    def test_jobs_of_several_threads(self, sc: Context) -> None:
        acc = sc.accumulator(0)
        rdd = sc.parallelize(NUMBERS, 4)
        threads = [threading.Thread(target=lambda: rdd.foreach(lambda x: acc.add(x))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert acc.value == 4 * sum(NUMBERS)

    def test_it_comes_back_as_itself(self, sc: Context) -> None:
        acc = sc.accumulator(0)
        assert sc.range(1).map(lambda x: acc).collect() == [acc]

    def test_a_value_that_needs_to_be_told_how_to_add(self, sc: Context) -> None:
        with pytest.raises(TypeError, match="accum_param"):
            sc.accumulator([])
        with pytest.raises(TypeError, match="has no zero"):
            sc.accumulator([], object())  # type: ignore[arg-type]

    def test_a_sum_that_cannot_travel_fails_its_task_once(self, sc: Context) -> None:
        acc = sc.accumulator(None, Last())
        with pytest.raises(JobFailed, match="cannot be sent to the driver") as caught:
            sc.range(2, numSlices=2).foreach(lambda x: acc.add(threading.Lock()))
        assert isinstance(caught.value.__cause__, NotPicklable)

    def test_what_cannot_be_added_on_the_driver_fails_the_action(self, sc: Context) -> None:
        acc = sc.accumulator("text", Last())
        with pytest.raises(JobError, match="could not be added up"):
            sc.range(2, numSlices=1).foreach(lambda x: acc.add(13))


class TestBroadcasts:
    @pytest.mark.parametrize(
        "value",
        [None, 0, "text", b"bytes" * 10_000, [1, [2, (3, {4})]], {"a": {"b": None}}, range(5), Counter("abca")],
        ids=lambda value: type(value).__name__,
    )
    def test_any_value(self, sc: Context, value: Any) -> None:
        made = sc.broadcast(value)
        assert made.value is value
        assert sc.range(3, numSlices=3).map(lambda x: made.value).collect() == [value] * 3
        assert sc.range(3, numSlices=2).filter(lambda x: made.value == value).count() == 3

    def test_a_join_without_a_shuffle(self, sc: Context) -> None:
        names = sc.broadcast({n: f"name {n}" for n in set(NUMBERS)})
        found = sc.parallelize(NUMBERS, 4).map(lambda n: (n, names.value[n])).collect()
        assert found == [(n, f"name {n}") for n in NUMBERS]

    def test_arrays(self, sc: Context) -> None:
        matrix = np.arange(200_000.0).reshape(-1, 100)
        made = sc.broadcast(matrix)
        sums = sc.range(100, numSlices=4).map(lambda i: float(made.value[:, i].sum())).collect()
        assert sums == matrix.sum(axis=0).tolist()

        def change(x: int) -> float:
            made.value[0, 0] = x
            return float(made.value[0, 0])

        assert sc.range(4, numSlices=4).map(change).collect() == [0.0, 1.0, 2.0, 3.0]
        assert matrix[0, 0] == 0

    def test_later_changes_are_not_seen(self, sc: Context) -> None:
        value = [1]
        made = sc.broadcast(value)
        value.append(2)
        assert sc.range(1).map(lambda x: made.value).collect() == [[1]]

    def test_several_and_nested(self, sc: Context) -> None:
        inner = sc.broadcast([1, 2, 3])
        outer = sc.broadcast({"inner": inner, "factor": 10})
        found = sc.range(3).map(lambda i: outer.value["inner"].value[i] * outer.value["factor"]).collect()
        assert found == [10, 20, 30]

    def test_a_new_one_for_each_round(self, sc: Context) -> None:
        total = 0
        for _ in range(5):
            made = sc.broadcast(total)
            total = sc.range(4, numSlices=2).map(lambda x, made=made: x + made.value).sum()
            made.unpersist()
        assert total == 6 * (4**5 - 1) // 3

    def test_after_unpersist_it_can_be_used(self, sc: Context) -> None:
        made = sc.broadcast([1, 2])
        used = sc.range(2).map(lambda i: made.value[i])
        assert used.collect() == [1, 2]
        made.unpersist(blocking=True)
        assert used.collect() == [1, 2]
        assert made.value == [1, 2]

    def test_after_destroy_it_cannot(self, sc: Context) -> None:
        made = sc.broadcast([1, 2])
        made.destroy(blocking=True)
        with pytest.raises(BroadcastDestroyed, match="make a new one"):
            made.value  # noqa: B018
        with pytest.raises(BroadcastDestroyed, match="made"):
            sc.range(2).map(lambda i: made.value[i]).collect()
        with pytest.raises(BroadcastDestroyed):
            made.destroy()

    def test_what_cannot_be_broadcast(self, sc: Context) -> None:
        with pytest.raises(NestedRDD, match="collect"):
            sc.broadcast(sc.range(3))
        with pytest.raises(NestedRDD, match=r"\['rdd'\]"):
            sc.broadcast({"rdd": sc.range(3)})
        with pytest.raises(NotPicklable, match=r"\['lock'\]"):
            sc.broadcast({"lock": threading.Lock()})

    def test_a_task_cannot_end_it_or_make_one(self, sc: Context) -> None:
        made = sc.broadcast(1)
        for use in (lambda x: made.destroy(), lambda x: made.unpersist()):
            with pytest.raises(JobFailed, match="on the driver only") as caught:
                sc.range(1).map(use).collect()
            assert isinstance(caught.value.__cause__, DriverOnly)
        with pytest.raises(NestedRDD):
            sc.range(1).map(lambda x: sc.broadcast(1)).collect()

    def test_in_a_thread_of_a_task(self, sc: Context) -> None:
        made = sc.broadcast(41)

        def in_thread(x: int) -> int:
            found: list[int] = []
            thread = threading.Thread(target=lambda: found.append(made.value + x))
            thread.start()
            thread.join()
            return found[0]

        assert sc.range(1, 2).map(in_thread).collect() == [42]


class Arrays(AccumulatorParam[Any]):
    def zero(self, value: Any) -> Any:
        return np.zeros_like(value)

    def addInPlace(self, value1: Any, value2: Any) -> Any:
        value1 += value2
        return value1


class Last(AccumulatorParam[Any]):
    def zero(self, value: Any) -> Any:
        return None

    def addInPlace(self, value1: Any, value2: Any) -> Any:
        if isinstance(value1, str):
            raise ValueError("unlucky")
        return value2
