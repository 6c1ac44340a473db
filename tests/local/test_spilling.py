"""More than memory holds, in real workers: answers are exact, and resident memory stays below the limit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from operator import add

import pytest

from rddlite import Context
from rddlite.api.rdd import RDD
from rddlite.errors import JobFailed, OutOfMemory

pytestmark = pytest.mark.local

LIMIT = 64 << 20
"""Bytes that one worker may have; 25 MB of them are Python and rddlite."""
RECORD = 2_000
FITTING = 2 * LIMIT // RECORD
"""As many records as take what both workers may have."""


class Watch:
    """The largest resident size of each worker, as the kernel has seen it."""

    def __init__(self, sc: Context) -> None:
        self._pids = {pid for executor in sc.executors for pid in executor.workers}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peaks: dict[int, int] = {}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            for pid in self._pids:
                with open(f"/proc/{pid}/status") as status:
                    self.peaks[pid] = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


@pytest.fixture
def small() -> Iterator[Context]:
    with Context("local[2]", conf={"executor.memory": str(2 * LIMIT), "progress.show": False}) as sc:
        yield sc


def number_of(value: str) -> int:
    return int(value.lstrip("-"))


def wide(i: int) -> str:
    return str(i).rjust(RECORD, "-")


def pairs(sc: Context, n: int, n_keys: int) -> RDD[tuple[int, str]]:
    return sc.range(n, numSlices=6).map(lambda i: (i * 7919 % n_keys, wide(i)))


def of_group(values: Iterable[str]) -> int:
    return sum(map(number_of, values))


def grouped(sc: Context, n: int) -> int:
    return pairs(sc, n, n // 10).groupByKey(2).mapValues(of_group).values().sum()


def grouped_by_few(sc: Context, n: int) -> int:
    """Groups that are larger than memory."""
    return pairs(sc, n, 3).groupByKey(2).mapValues(of_group).values().sum()


def reduced(sc: Context, n: int) -> int:
    """Every key is another."""
    made = pairs(sc, n, 1).map(lambda pair: (pair[1], 1)).reduceByKey(add, 2)
    return made.keys().map(number_of).sum()


def in_lists(sc: Context, n: int) -> int:
    """Combined values that grow."""
    made = pairs(sc, n, n // 10).combineByKey(lambda v: [v], lambda c, v: [*c, v], add, 2)
    return made.mapValues(of_group).values().sum()


def distinct(sc: Context, n: int) -> int:
    return pairs(sc, n, n).distinct(2).values().map(number_of).sum()


def in_place(sc: Context, n: int) -> int:
    """Grouped where they are: the records of a key are together already."""
    return pairs(sc, n, n // 10).partitionBy(2).groupByKey(2).mapValues(of_group).values().sum()


def cogrouped(sc: Context, n: int) -> int:
    left, right = pairs(sc, n, n // 10), sc.range(100).map(lambda i: (i, ""))
    return left.cogroup(right, 2).mapValues(lambda groups: of_group(groups[0])).values().sum()


def joined(sc: Context, n: int) -> int:
    left, right = pairs(sc, n, n // 2), sc.range(n // 2, numSlices=2).map(lambda i: (i, 1))
    return left.join(right, 2).map(lambda pair: number_of(pair[1][0])).sum()


COMPUTATIONS = [grouped, grouped_by_few, reduced, in_lists, distinct, in_place, cogrouped, joined]
N = 3 * FITTING // 2


@pytest.mark.parametrize("compute", COMPUTATIONS)
def test_more_than_memory_holds(small: Context, compute: Callable[[Context, int], int]) -> None:
    with Watch(small) as watch:
        assert compute(small, N) == N * (N - 1) // 2
    assert len(watch.peaks) == 2
    assert max(watch.peaks.values()) < LIMIT
    job = small.jobs()[-1]
    assert job.failed == 0
    assert job.spilled > N * RECORD // 4
    assert job.spill_runs > 0
    assert f"at {os.path.basename(__file__)}:" in job.spilled_by
    assert f"({job.spilled_by})" in job.line()


def test_one_combined_value_that_does_not_fit_is_named(small: Context) -> None:
    """After one more attempt with the executor to itself."""
    made = pairs(small, N, 1).combineByKey(lambda v: [v], lambda c, v: c.append(v) or c, add, 1)
    with pytest.raises(JobFailed, match="out of memory") as caught:
        made.mapValues(len).collect()
    text = str(caught.value)
    assert "combineByKey" in text
    assert "also when it ran alone" in text
    assert "executor.memory" in text
    assert "of which the key 0 has about" in text
    assert isinstance(caught.value.__cause__, OutOfMemory)


def test_a_group_that_is_made_one_list_is_named(small: Context) -> None:
    groups = pairs(small, N, 1).groupByKey(1)
    with pytest.raises(JobFailed, match="out of memory") as caught:
        groups.mapValues(sorted).mapValues(len).collect()
    text = str(caught.value)
    assert "groupByKey" in text or "mapValues" in text
    assert f"a group of {N:,} values, of the key 0" in text
    assert "executor.memory" in text
    assert "limit of" in text


@pytest.mark.parametrize("is_short", [True, False])
def test_what_is_written_early_counts_as_spilled_only_for_lack_of_memory(*, is_short: bool) -> None:
    conf = {"shuffle.buffer": "256k", "progress.show": "false", **({"memory.operators": "100k"} if is_short else {})}
    with Context("local[1]", conf=conf) as sc:
        assert sc.range(60_000, numSlices=1).map(lambda x: (x, str(x) * 4)).partitionBy(4).count() == 60_000
        maps = sc.jobs()[-1].stages[0]
        assert maps.shuffle_bytes_written > 1 << 20, "or nothing is written early"
        assert (maps.spill_runs > 0) is is_short
        assert (sc.jobs()[-1].spilled > 0) is is_short
