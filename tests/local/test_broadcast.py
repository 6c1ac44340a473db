"""Broadcasts to workers of this host: mapped once, shared, dropped, and nothing left of them."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rddlite import Broadcast, Context
from rddlite.errors import BroadcastDestroyed, ContextStopped, JobFailed

MEGABYTES_50 = 50 << 20


def files_below(root: Path) -> list[Path]:
    """The files of broadcasts of all applications below a directory."""
    return sorted(path for path in root.glob("rddlite-*/app-*/**/broadcast/*"))


def wait_until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.fixture
def sc(tmp_path: Path) -> Iterator[Context]:
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as context:
        yield context
    assert files_below(tmp_path) == []


def mapped_and_private(paths: str) -> tuple[bool, int]:
    """In a task: whether a file with this in its name is mapped, and how much private memory that takes."""
    is_mapped, private, is_ours = False, 0, False
    with open("/proc/self/smaps") as file:
        for line in file:
            if "-" in line.split()[0]:
                is_ours = paths in line
                is_mapped = is_mapped or is_ours
            elif is_ours and line.startswith("Anonymous:"):
                private += int(line.split()[1]) << 10
    return is_mapped, private


def test_an_array_of_50_mb_is_mapped_not_copied(sc: Context, tmp_path: Path) -> None:
    made = sc.broadcast(np.arange(MEGABYTES_50 // 8))

    def look(x: int) -> tuple[int, int, bool, int]:
        array = made.value
        return os.getpid(), int(array[::1000].sum()), *mapped_and_private("broadcast-")

    found = sc.range(8, numSlices=8).map(look).collect()
    assert {total for _, total, *_ in found} == {int(made.value[::1000].sum())}
    assert all(is_mapped and private == 0 for *_, is_mapped, private in found)
    assert len(files_below(tmp_path)) == 1, "one copy on this host"


def test_tasks_can_write_to_it_and_nobody_else_sees_it(sc: Context) -> None:
    made = sc.broadcast({"array": np.zeros(100_000), "list": [0]})

    def change(x: int) -> tuple[int, float, int]:
        made.value["array"][:] += 1
        made.value["list"][0] += 1
        return os.getpid(), float(made.value["array"].max()), made.value["list"][0]

    found = sc.range(10, numSlices=10).map(change).collect()
    assert made.value["array"].max() == 0
    assert made.value["list"] == [0]
    for worker in {pid for pid, *_ in found}:
        own = sorted((array, entry) for pid, array, entry in found if pid == worker)
        assert own == [(n, n) for n in range(1, len(own) + 1)], "tasks of one worker share the value"


@pytest.mark.parametrize("value", [bytes(MEGABYTES_50), {n: str(n) for n in range(200_000)}, None, "x"])
def test_any_value(sc: Context, value: Any) -> None:
    made = sc.broadcast(value)
    assert sc.range(4, numSlices=4).map(lambda x: hash(str(made.value)[:100])).count() == 4
    assert sc.range(2, numSlices=2).map(lambda x: made.value).collect() == [value, value]


def test_more_than_the_memory_of_a_worker_can_be_mapped(tmp_path: Path) -> None:
    with Context("local[2]", conf={"local.dir": str(tmp_path), "executor.memory": "256m"}) as sc:
        made = [sc.broadcast(np.ones(MEGABYTES_50 // 8)) for _ in range(5)]
        found = sc.range(4, numSlices=4).map(lambda x: sum(float(each.value.sum()) for each in made)).collect()
        assert found == [5.0 * (MEGABYTES_50 // 8)] * 4


def test_in_functions_before_and_after_a_shuffle_and_in_partitions(sc: Context) -> None:
    names = sc.broadcast({n: f"name{n % 7}" for n in range(100)})
    counted = sc.range(100, numSlices=5).map(lambda x: (names.value[x], 1)).reduceByKey(lambda a, b: a + b)
    found = counted.mapPartitions(lambda part: [(key, n, len(names.value)) for key, n in part]).collect()
    assert sorted(found) == [(f"name{k}", len(range(k, 100, 7)), 100) for k in range(7)]


def test_unpersist_frees_workers_and_it_can_be_used_again(sc: Context) -> None:
    made = sc.broadcast(np.ones(MEGABYTES_50 // 8))

    def use(x: int) -> float:
        return float(made.value[0])

    def is_mapped(x: int) -> bool:
        return mapped_and_private("broadcast-")[0]

    assert sc.range(8, numSlices=8).map(use).collect() == [1.0] * 8
    assert any(sc.range(8, numSlices=8).map(is_mapped).collect())
    made.unpersist(blocking=True)
    wait_until(lambda: not any(sc.range(8, numSlices=8).map(is_mapped).collect()), "workers let go")
    assert made.value[0] == 1
    assert sc.range(8, numSlices=8).map(use).collect() == [1.0] * 8


def test_destroy_removes_it(sc: Context, tmp_path: Path) -> None:
    made = sc.broadcast([1, 2])
    used = sc.range(4, numSlices=4).map(lambda x: made.value[x % 2])
    assert used.collect() == [1, 2, 1, 2]
    made.destroy(blocking=True)
    assert files_below(tmp_path) == []
    with pytest.raises(BroadcastDestroyed):
        made.value  # noqa: B018
    with pytest.raises(BroadcastDestroyed, match=r"global 'made'|variable 'made'|made"):
        sc.range(1).map(lambda x: made.value).collect()

    def is_refused() -> bool:
        """Workers may still have it for a moment."""
        try:
            used.collect()
        except JobFailed as error:
            return isinstance(error.__cause__, BroadcastDestroyed) and "keep it until" in str(error)
        return False

    wait_until(is_refused, "functions pickled before are refused too")


def test_dropping_it_removes_it(sc: Context, tmp_path: Path) -> None:
    def use() -> list[int]:
        made = sc.broadcast(list(range(10)))
        return sc.range(4, numSlices=4).map(lambda x: made.value[x]).collect()

    assert use() == [0, 1, 2, 3]
    gc.collect()
    wait_until(lambda: files_below(tmp_path) == [], "the file goes with the handle")


def test_it_lives_as_long_as_an_rdd_that_uses_it(sc: Context, tmp_path: Path) -> None:
    def make() -> Any:
        made = sc.broadcast(list(range(10)))
        return sc.range(4, numSlices=4).map(lambda x: (made.value[x] % 2, 1)).reduceByKey(lambda a, b: a + b)

    counted = make()
    for _ in range(2):
        gc.collect()
        assert dict(counted.collect()) == {0: 2, 1: 2}
    assert len(files_below(tmp_path)) == 1


def test_new_workers_have_it_too(sc: Context) -> None:
    made = sc.broadcast(np.arange(100_000))
    used = sc.range(6, numSlices=6).map(lambda x: int(made.value[x]))
    assert used.collect() == list(range(6))
    for pid in sc.executors[0].workers:
        os.kill(pid, signal.SIGKILL)
    assert used.collect() == list(range(6))


def test_a_new_executor_has_it_too(sc: Context) -> None:
    made = sc.broadcast(np.arange(100_000))
    used = sc.range(6, numSlices=6).map(lambda x: int(made.value[x]))
    assert used.collect() == list(range(6))
    os.kill(sc.executors[0].pid, signal.SIGKILL)
    assert used.collect() == list(range(6))


def test_a_class_of_the_program_and_a_handle_in_a_record(sc: Context) -> None:
    class Table:
        def __init__(self, rows: list[int]) -> None:
            self.rows = rows

    made = sc.broadcast(Table([4, 5]))
    assert sc.range(2, numSlices=2).map(lambda x: made.value.rows[x]).collect() == [4, 5]
    handles: list[Broadcast[Any]] = sc.parallelize([made, made], 2).map(lambda each: each).collect()
    assert handles == [made, made]
    assert sc.parallelize([made], 1).map(lambda each: each.value.rows).collect() == [[4, 5]]


def test_many_small_ones(sc: Context, tmp_path: Path) -> None:
    made = [sc.broadcast(n) for n in range(100)]
    found = sc.range(4, numSlices=4).map(lambda x: sum(each.value for each in made)).collect()
    assert found == [4950] * 4
    for each in made:
        each.destroy()
    wait_until(lambda: files_below(tmp_path) == [], "they are gone")


def test_a_broadcast_of_a_stopped_context_cannot_be_used() -> None:
    with Context("inline") as first:
        made = first.broadcast([1])
    assert made.value == [1]
    made.destroy()
    with Context("inline") as first:
        made = first.broadcast([1])
    with Context("inline") as second, pytest.raises(ContextStopped):
        second.range(1).map(lambda x: made.value).collect()
