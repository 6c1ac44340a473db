"""Who is silent for a while is not lost, and who is silent for good is; and a driver that was late blames nobody."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
from tests.helpers.cluster import (
    EXPECTED,
    IMPATIENT,
    MAPS,
    NO_COPIES,
    PATIENT,
    REDUCES,
    assert_accounted,
    counts,
    process_of,
    wait_for_executors,
    wait_until,
)


def state_of(pid: int) -> str:
    """`T` of a process that was stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("point", ["task.map", "task.reduce"])
def test_an_executor_stops_for_less_than_the_limit(faults: Faults, point: str) -> None:
    # Who reads blocks of the one that stands still is to wait for it too, however slow this machine is.
    conf = {**PATIENT, **NO_COPIES, "shuffle.fetchTimeout": "1h"}
    with Context("local-cluster[2,1,256m]", conf=conf) as sc:
        before = wait_for_executors(sc, 2)
        faults.arm(point, "stop-executor", executor="1")

        def go_on() -> None:
            faults.wait_fired(point, executor="1")
            stopped = process_of(sc, "1")
            wait_until(lambda: state_of(stopped) == "T", "it stands still")
            time.sleep(0.5)  # in which the other one does what it can alone
            os.kill(stopped, signal.SIGCONT)

        with in_the_background(go_on):
            assert dict(counts(sc).collect()) == EXPECTED
        job = sc.jobs()[-1]
        assert (job.attempts, job.lost) == (MAPS + REDUCES, 0), "nothing is computed again"
        assert wait_for_executors(sc, 2) == before


@pytest.mark.parametrize("point", ["task.map", "serve.block"])
def test_an_executor_stops_for_longer_than_the_limit(faults: Faults, point: str) -> None:
    with Context("local-cluster[2,1,256m]", conf={**IMPATIENT, "executor.silence": "3s"}) as sc:
        wait_for_executors(sc, 2)
        faults.arm(point, "stop-executor", executor="1")
        assert dict(counts(sc).collect()) == EXPECTED
        assert faults.fired(point, executor="1") == 1
        assert_accounted(sc)
        assert "1" not in wait_for_executors(sc, 2), "it is replaced"


def test_the_driver_is_late(tmp_path: Path) -> None:
    """A C call holds the interpreter's lock for longer than the silence limit, while tasks run and after they ended."""
    begun, gate = tmp_path / "begun", tmp_path / "gate"

    def wait_at_the_gate(count: tuple[str, int]) -> tuple[str, int]:
        begun.touch()
        while not gate.exists():
            time.sleep(0.01)
        return count

    with Context("local-cluster[2,1,256m]", conf={**IMPATIENT, **NO_COPIES, "executor.silence": "3s"}) as sc:
        before = wait_for_executors(sc, 2)
        answers: list[dict[str, int]] = []
        with in_the_background(lambda: answers.append(dict(counts(sc).map(wait_at_the_gate).collect()))):
            wait_until(begun.exists, "a task runs")
            starve(4.5)
            gate.touch()
            starve(3.5)
        assert answers == [EXPECTED]
        assert (sc.jobs()[-1].attempts, sc.jobs()[-1].lost) == (MAPS + REDUCES, 0)
        assert wait_for_executors(sc, 2) == before


def starve(seconds: float) -> None:
    """Let no other thread of this process run: PyDLL keeps the interpreter's lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
