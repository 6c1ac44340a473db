"""Tasks that never end are stopped, whatever they do, and the context goes on."""

from __future__ import annotations

import _thread
import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context
from rddlite.errors import JobCancelled
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background


def busy_for_ever(_: Any) -> None:
    while True:
        pass


def stubborn(_: Any) -> None:
    while True:
        try:
            time.sleep(60)
        except BaseException:
            continue


def blocked_in_c(_: Any) -> None:
    # PyDLL keeps the interpreter's lock: no signal handler of Python can run before this returns.
    ctypes.PyDLL(None).sleep(600)


NEVER_ENDING = [lambda _: time.sleep(600), busy_for_ever, stubborn, blocked_in_c]


def started(marker: Path, f: Any) -> Any:
    def run(x: Any) -> None:
        marker.touch()
        f(x)

    return run


def wait_for(marker: Path) -> None:
    while not marker.exists():
        time.sleep(0.01)


@pytest.mark.parametrize("f", NEVER_ENDING, ids=["sleep", "busy", "stubborn", "c-call"])
def test_a_cancelled_group_ends_its_tasks(tmp_path: Path, f: Any) -> None:
    marker = tmp_path / "started"
    with Context("local[2]") as sc:

        def cancel() -> None:
            wait_for(marker)
            sc.cancelJobGroup("doomed")

        sc.setJobGroup("doomed", "never ends")
        with in_the_background(cancel), pytest.raises(JobCancelled):
            sc.parallelize([1, 2], 2).foreach(started(marker, f))
        sc.setJobGroup("next", "ends")
        assert sc.range(100, numSlices=4).sum() == 4950


def test_ctrl_c_cancels_the_job_and_not_the_session(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    with Context("local[2]") as sc:
        workers = set(sc.executors[0].workers)

        def interrupt() -> None:
            wait_for(marker)
            os.kill(os.getpid(), signal.SIGINT)

        with in_the_background(interrupt), pytest.raises(KeyboardInterrupt):
            sc.parallelize([1, 2], 2).foreach(started(marker, lambda _: time.sleep(600)))
        assert sc.jobs()[-1].state == "cancelled"
        assert sc.range(100, numSlices=4).sum() == 4950
        assert set(sc.executors[0].workers) == workers, "tasks that can be interrupted keep their process"


def test_cancelling_one_job_leaves_the_other_alone(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    with Context("local[2]") as sc:
        results: list[int] = []

        def other() -> None:
            results.append(sc.range(40, numSlices=40).map(lambda x: time.sleep(0.02) or x).sum())

        def doomed() -> None:
            sc.setJobGroup("doomed", "never ends")
            with pytest.raises(JobCancelled):
                sc.parallelize([1], 1).foreach(started(marker, busy_for_ever))

        threads = [threading.Thread(target=f) for f in (doomed, other)]
        for thread in threads:
            thread.start()
        wait_for(marker)
        sc.cancelJobGroup("doomed")
        for thread in threads:
            thread.join()
        assert results == [780]


def test_ctrl_c_while_output_is_published(faults: Faults, tmp_path: Path) -> None:
    """It is published whole, and then the program is interrupted."""
    faults.arm("output.publish", "hold")

    def interrupt() -> None:
        faults.wait_fired("output.publish")
        _thread.interrupt_main()
        faults.release("output.publish")

    with Context("local[2]") as sc:
        with in_the_background(interrupt), pytest.raises(KeyboardInterrupt):
            sc.range(10, numSlices=2).saveAsTextFile(str(tmp_path / "out"))
        assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["_SUCCESS", "part-00000", "part-00001"]
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []
