"""Executors that leave on request: what they run ends, what they hold is handed over, and nothing is computed again."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path
from typing import Any

from rddlite import Context
from rddlite.testing.faults import Faults
from tests.cluster.joiners import Joiners
from tests.helpers.cluster import (
    EXPECTED,
    IMPATIENT,
    MAPS,
    NO_COPIES,
    PATIENT,
    REDUCES,
    WORDS,
    counts,
    kill,
    outputs_of,
    process_of,
    wait_for_executors,
    wait_until,
)

CLUSTER = "local-cluster[2,1,256m]"


def leave(sc: Context, executor: str) -> None:
    os.kill(process_of(sc, executor), signal.SIGTERM)


def wait_gone(sc: Context, executor: str) -> None:
    wait_until(lambda: executor not in [each.id for each in sc.executors], f"executor {executor} leaves")


def test_one_without_anything_leaves_at_once() -> None:
    with Context(CLUSTER, conf=PATIENT) as sc:
        first, _ = wait_for_executors(sc, 2)
        leave(sc, first)
        wait_gone(sc, first)
        wait_for_executors(sc, 2)
        assert dict(counts(sc).collect()) == EXPECTED


def test_map_outputs_are_handed_over(tmp_path: Path) -> None:
    with Context(CLUSTER, conf={**PATIENT, **NO_COPIES, "local.dir": str(tmp_path)}) as sc:
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        first, second = wait_for_executors(sc, 2)
        held = {path.name for path in outputs_of(tmp_path, first)}
        assert held
        leave(sc, first)
        wait_gone(sc, first)
        assert held <= {path.name for path in outputs_of(tmp_path, second)}
        assert dict(summed.mapValues(lambda n: n + 1).collect()) == {word: n + 1 for word, n in EXPECTED.items()}
        job = sc.jobs()[-1]
        assert (job.attempts, job.lost, job.failed) == (REDUCES, 0, 0), "no map task ran again"


def test_what_it_runs_is_finished_first(tmp_path: Path, faults: Faults) -> None:
    faults.arm("task.map", "hold", times=2)
    with Context(CLUSTER, conf={**PATIENT, **NO_COPIES}) as sc:
        first, _ = wait_for_executors(sc, 2)
        marked = sc.parallelize(WORDS, MAPS).mapPartitionsWithIndex(marking(tmp_path))
        summed = marked.map(lambda word: (word, 1)).reduceByKey(add, REDUCES)
        answer: list[dict[str, int]] = []
        waiting = threading.Thread(target=lambda: answer.append(dict(summed.collect())))
        waiting.start()
        faults.wait_fired("task.map", times=2)
        leave(sc, first)
        wait_until(lambda: (first, "draining") in [(each.id, each.state) for each in sc.executors], "it wants to leave")
        faults.release("task.map")
        waiting.join()
        assert answer == [EXPECTED]
        wait_gone(sc, first)
        assert sc.jobs()[-1].lost == 0
        assert times_run(tmp_path) == [1] * MAPS


def test_one_after_another_leaves_under_load(joiners: Joiners, tmp_path: Path) -> None:
    with Context("rdd://127.0.0.1:0", conf={**PATIENT, **NO_COPIES}) as sc:
        crew = [joiners.join(sc), joiners.join(sc)]
        expected = {i: sum(range(i, 400, 10)) for i in range(10)}
        for turn in range(2):
            marks = tmp_path / str(turn)
            marks.mkdir()
            marked = sc.parallelize(range(400), 40).mapPartitionsWithIndex(marking(marks)).map(slowly)
            rdd = marked.map(lambda i: (i % 10, i)).reduceByKey(add, 5)
            answer: list[dict[int, int]] = []
            waiting = threading.Thread(target=lambda answer=answer, rdd=rdd: answer.append(dict(rdd.collect())))
            waiting.start()
            crew.append(joiners.join(sc))
            leaving = crew.pop(0)
            leaving.process.terminate()
            assert leaving.ended() == 0, leaving.log
            waiting.join()
            assert answer == [expected]
            assert sc.jobs()[-1].lost == 0
            assert times_run(marks) == [1] * 40


def test_the_last_one_leaves_nothing_behind_but_can_be_replaced(joiners: Joiners) -> None:
    with Context("rdd://127.0.0.1:0", conf=PATIENT) as sc:
        only = joiners.join(sc)
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        only.process.terminate()
        assert only.ended() == 0
        wait_until(lambda: not sc.executors, "it is gone")
        joiners.join(sc)
        assert dict(summed.collect()) == EXPECTED, "there was nobody to hand over to: it is computed again"


def test_the_only_one_hands_over_to_its_replacement(tmp_path: Path, faults: Faults) -> None:
    faults.arm("task.reduce", "hold", times=1)
    with Context("local-cluster[1,1,256m]", conf={**PATIENT, **NO_COPIES}) as sc:
        (only,) = wait_for_executors(sc, 1)
        marked = sc.parallelize(WORDS, MAPS).mapPartitionsWithIndex(marking(tmp_path))
        summed = marked.map(lambda word: (word, 1)).reduceByKey(add, REDUCES)
        answer: list[dict[str, int]] = []
        waiting = threading.Thread(target=lambda: answer.append(dict(summed.collect())))
        waiting.start()
        faults.wait_fired("task.reduce", times=1)
        leave(sc, only)
        faults.release("task.reduce")
        waiting.join()
        assert answer == [EXPECTED]
        assert times_run(tmp_path) == [1] * MAPS
        assert (sc.jobs()[-1].lost, sc.jobs()[-1].failed) == (0, 0)


def test_a_leaving_one_that_dies_is_lost_like_any_other(faults: Faults) -> None:
    faults.arm("task.map", "hold", times=2)
    with Context(CLUSTER, conf=PATIENT) as sc:
        first, _ = wait_for_executors(sc, 2)
        answer: list[dict[str, int]] = []
        waiting = threading.Thread(target=lambda: answer.append(dict(counts(sc).collect())))
        waiting.start()
        faults.wait_fired("task.map", times=2)
        leave(sc, first)
        kill(sc, first)
        wait_gone(sc, first)
        faults.release("task.map")
        waiting.join()
        assert answer == [EXPECTED]


def test_one_that_was_stopped_leaves_when_it_goes_on(joiners: Joiners) -> None:
    with Context("rdd://127.0.0.1:0", conf={**IMPATIENT, "executor.silence": "60s"}) as sc:
        leaving, _ = joiners.join(sc), joiners.join(sc)
        summed = counts(sc)
        assert dict(summed.collect()) == EXPECTED
        os.kill(leaving.pid, signal.SIGSTOP)
        leaving.process.terminate()
        os.kill(leaving.pid, signal.SIGCONT)
        assert leaving.ended() == 0
        assert dict(summed.collect()) == EXPECTED


def marking(directory: Path) -> Callable[[int, Iterator[Any]], Iterator[Any]]:
    """Has each run of a partition leave a file there."""

    def mark(index: int, records: Iterator[Any]) -> Iterator[Any]:
        (directory / f"{index}.{uuid.uuid4().hex}").touch()
        return records

    return mark


def times_run(directory: Path) -> list[int]:
    """How often each partition ran that did."""
    return sorted(Counter(path.name.split(".")[0] for path in directory.iterdir() if path.suffix).values())


def slowly(i: int) -> int:
    time.sleep(0.002)
    return i
