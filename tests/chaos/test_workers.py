"""Workers die in every kind of task, in every way; answers stay exact, and errors tell what happened."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rddlite import Context
from rddlite.errors import JobFailed, OutOfMemory, WorkerCrashed
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
from tests.helpers.cluster import wait_until

WORDS = [f"word{i * i % 97}" for i in range(5_000)]
EXPECTED = Counter(WORDS)


def count_words(sc: Context) -> dict[str, int]:
    return dict(sc.parallelize(WORDS, 6).map(lambda word: (word, 1)).reduceByKey(add, 4).collect())


def attempts_and_tasks(sc: Context) -> tuple[int, int]:
    stages = [stage for job in sc.jobs() for stage in job.stages]
    return sum(stage.attempts for stage in stages), sum(stage.tasks for stage in stages)


@pytest.mark.parametrize("action", ["kill", "exit", "segfault"])
@pytest.mark.parametrize("point", ["task.map", "map.write", "task.reduce"])
def test_a_worker_ends_in_a_map_or_reduce_task(faults: Faults, point: str, action: str) -> None:
    faults.arm(point, action)
    with Context("local[2]") as sc:
        assert count_words(sc) == EXPECTED
        attempts, tasks = attempts_and_tasks(sc)
    assert faults.fired(point) == 1
    assert attempts == tasks + 1


def test_several_workers_end_in_turn(faults: Faults) -> None:
    faults.arm("task.map", "kill", times=3)
    faults.arm("task.reduce", "kill", times=3)
    with Context("local[2]", conf={"task.maxDeaths": 8}) as sc:
        assert count_words(sc) == EXPECTED
        attempts, tasks = attempts_and_tasks(sc)
    assert attempts == tasks + 6


def test_a_worker_ends_in_a_result_task_without_shuffle(faults: Faults) -> None:
    faults.arm("task.result", "kill")
    with Context("local[2]") as sc:
        assert sc.range(1000, numSlices=5).map(lambda x: x * 2).sum() == 999_000
        attempts, tasks = attempts_and_tasks(sc)
    assert faults.fired("task.result") == 1
    assert attempts == tasks + 1


def test_map_outputs_outlive_the_worker_that_wrote_them(faults: Faults) -> None:
    with Context("local[2]") as sc:
        counts = sc.parallelize(WORDS, 6).map(lambda word: (word, 1)).reduceByKey(add, 4)
        assert dict(counts.collect()) == EXPECTED
        for executor in sc.executors:
            for pid in executor.workers:
                os.kill(pid, signal.SIGKILL)
        assert dict(counts.collect()) == EXPECTED
        assert [stage.state for stage in sc.jobs()[-1].stages if stage.kind == "map"] == ["skipped"]


def segfault(_: Any) -> NoReturn:
    ctypes.string_at(0)
    raise AssertionError


def test_a_segfault_every_time_names_the_signal_and_the_python_stack() -> None:
    with Context("local[2]") as sc:
        with pytest.raises(JobFailed, match="SIGSEGV") as caught:
            sc.parallelize([1], 1).foreach(segfault)
        assert isinstance(caught.value.__cause__, WorkerCrashed)
        assert caught.value.__cause__.signal == "SIGSEGV"
        assert "segfault" in str(caught.value), "the stack of the Python code that crashed belongs to the error"
        assert count_words(sc) == EXPECTED


def test_os_exit_names_the_code() -> None:
    with Context("local[2]") as sc:
        with pytest.raises(JobFailed, match="exit code 42") as caught:
            sc.parallelize([1], 1).foreach(lambda _: os._exit(42))
        assert isinstance(caught.value.__cause__, WorkerCrashed)
        assert caught.value.__cause__.exit_code == 42
        assert count_words(sc) == EXPECTED


def test_system_exit_is_an_error_of_the_task_and_ends_no_process() -> None:
    with Context("local[2]") as sc:
        workers = sc.executors[0].workers
        with pytest.raises(JobFailed, match="SystemExit"):
            sc.parallelize([1], 1).foreach(lambda _: sys.exit("enough"))
        assert count_words(sc) == EXPECTED
        assert sc.executors[0].workers == workers


class Enough(BaseException):
    pass


@pytest.mark.parametrize("kind", [Enough, GeneratorExit, KeyboardInterrupt])
def test_what_is_no_exception_is_an_error_of_the_task_like_any_other(kind: type[BaseException]) -> None:
    def fail(x: int) -> int:
        raise kind

    with Context("local[2]") as sc:
        workers = sc.executors[0].workers
        with pytest.raises(JobFailed) as caught:
            sc.parallelize([7], 1).map(fail).collect()
        assert type(caught.value.__cause__) is kind
        assert caught.value.record == "7"
        assert "fused" not in str(caught.value)
        assert sc.executors[0].workers == workers


class Unpicklable(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.stream: Iterator[int] = (i for i in range(3))


def test_an_exception_that_cannot_be_pickled_still_tells_its_story() -> None:
    def fail(x: int) -> int:
        raise Unpicklable(f"no way past {x}")

    with Context("local[2]") as sc:
        with pytest.raises(JobFailed, match="Unpicklable: no way past 7") as caught:
            sc.parallelize([7], 1).map(fail).collect()
        assert caught.value.__cause__ is not None
        assert count_words(sc) == EXPECTED


def test_a_record_that_always_fails_is_named_with_its_operation() -> None:
    def parse(text: str) -> int:
        return int(text)

    with Context("local[2,4]") as sc:
        with pytest.raises(JobFailed) as caught:
            sc.parallelize(["1", "2", "three", "4"], 2).map(parse).collect()
        error = caught.value
        assert isinstance(error.__cause__, ValueError)
        assert error.record == "'three'"
        assert error.operation is not None
        assert "parse" in error.operation
        assert "test_workers.py" in error.operation
        attempts, _ = attempts_and_tasks(sc)
        assert attempts == 3, "the same failure of the same record twice is not tried a third time"


def test_memory_past_the_limit_tells_limit_and_peak() -> None:
    def hoard(_: int) -> int:
        kept = []
        while True:
            kept.append(bytearray(8 << 20))
            time.sleep(0.005)

    with Context("local[2]", conf={"executor.memory": "400m"}) as sc:
        with pytest.raises(JobFailed, match="out of memory") as caught:
            sc.parallelize([1], 1).map(hoard).collect()
        cause = caught.value.__cause__
        assert isinstance(cause, OutOfMemory)
        assert cause.limit == 200 << 20
        assert cause.peak > 150 << 20
        assert count_words(sc) == EXPECTED


def test_memory_that_a_function_of_partitions_keeps_names_it() -> None:
    def hoard_all(records: Iterator[int]) -> Iterator[int]:
        kept = []
        for _ in records:
            kept.append(bytearray(2 << 20))
            time.sleep(0.005)
        yield len(kept)

    text = r"out of memory in mapPartitions\(.*hoard_all\) at test_workers.py:\d+"
    with Context("local[2]", conf={"executor.memory": "200m"}) as sc, pytest.raises(JobFailed, match=text):
        sc.range(1000, numSlices=1).mapPartitions(hoard_all).collect()


def test_counts_of_too_many_records_say_so() -> None:
    text = r"(?s)out of memory in countByValue at test_workers.py:\d+ \(it held about .* use reduceByKey"
    conf = {"executor.memory": "200m", "memory.operators": "50m"}
    with Context("local[2]", conf=conf) as sc, pytest.raises(JobFailed, match=text):
        sc.range(50_000_000, numSlices=1).countByValue()


def test_a_burst_of_memory_is_caught_as_well() -> None:
    with Context("local[2]", conf={"executor.memory": "400m"}) as sc:
        with pytest.raises(JobFailed, match="out of memory") as caught:
            sc.parallelize([1], 1).map(lambda _: len(b"x" * (4 << 30))).collect()
        assert isinstance(caught.value.__cause__, OutOfMemory)
        assert count_words(sc) == EXPECTED


def test_the_executor_itself_dies(tmp_path: Path) -> None:
    """Its map outputs die with it, and its files go; a new one recomputes what is needed."""
    with Context("local[2]", conf={"local.dir": str(tmp_path)}) as sc:
        counts = sc.parallelize(WORDS, 6).map(lambda word: (word, 1)).reduceByKey(add, 4)
        assert dict(counts.collect()) == EXPECTED
        os.kill(sc.executors[0].pid, signal.SIGKILL)
        assert dict(counts.collect()) == EXPECTED
        assert [stage.state for stage in sc.jobs()[-1].stages if stage.kind == "map"] != ["skipped"]
        wait_until(lambda: not list(tmp_path.glob("rddlite-*/app-*/executor-0")), "its files go")


class Gate:
    """Tasks that wait: the test sees that they have begun, and opens."""

    def __init__(self, folder: Path) -> None:
        self._begun, self._open = folder / "begun", folder / "open"

    def passing(self, x: int) -> int:
        """For a task."""
        self._begun.touch()
        wait_until(self._open.exists, "the task may end")
        return x

    def wait_begun(self) -> None:
        """Wait until a task waits."""
        wait_until(self._begun.exists, "a task runs")

    def open(self) -> None:
        """Let all go on."""
        self._open.touch()


@pytest.mark.parametrize("moment", ["between jobs", "in a job"])
def test_the_zygote_dies(moment: str, tmp_path: Path) -> None:
    """Its executor leaves; the next one is started when that has really ended, and no job waits in vain."""
    with Context("local[2]", conf={"executor.grace": "2min"}) as sc:
        for turn in range(2):
            assert count_words(sc) == EXPECTED
            executor = sc.executors[0]
            zygote = parent_of(executor.workers[0])
            if moment == "between jobs":
                os.kill(zygote, signal.SIGKILL)
            else:
                (tmp_path / str(turn)).mkdir()
                gate = Gate(tmp_path / str(turn))

                def kill_it(gate: Gate = gate, zygote: int = zygote) -> None:
                    gate.wait_begun()
                    os.kill(zygote, signal.SIGKILL)
                    gate.open()

                with in_the_background(kill_it):
                    assert sc.range(8, numSlices=8).map(gate.passing).sum() == 28
            assert count_words(sc) == EXPECTED


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def children_of(pid: int) -> set[int]:
    found = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if parent_of(int(name)) == pid:
                found.add(int(name))
    return found


def test_a_replacement_dies_before_it_is_there(tmp_path: Path) -> None:
    with Context("local[2]", conf={"executor.grace": "2min"}) as sc:
        old = sc.executors[0].pid
        others = children_of(os.getpid())
        gate = Gate(tmp_path)
        counts = sc.range(8, numSlices=8).map(gate.passing).map(lambda x: (x % 2, x)).reduceByKey(add, 2)

        def kill_two() -> None:
            gate.wait_begun()
            os.kill(old, signal.SIGKILL)
            (replacement, *_) = wait_until(lambda: children_of(os.getpid()) - others, "another one is started")
            os.kill(replacement, signal.SIGKILL)
            gate.open()

        with in_the_background(kill_two):
            assert dict(counts.collect()) == {0: 12, 1: 16}
