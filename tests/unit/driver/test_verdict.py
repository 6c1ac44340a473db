"""What the user reads when a job ends without its result."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest

from rddlite.base.ids import AttemptId, ExecutorId, JobId, ShuffleId, StageId
from rddlite.base.outcome import Failure, FetchFailed, Killed, OutOfMemory, Raised, TaskOutcome, WorkerDied
from rddlite.driver.verdict import verdict
from rddlite.errors import JobCancelled, JobFailed, NoExecutors, WorkerCrashed
from rddlite.errors import OutOfMemory as OutOfMemoryError
from rddlite.plan.model import ResultStage
from rddlite.schedule.commands import (
    Cancelled,
    ExecutorGone,
    LostInput,
    NoExecutorsLeft,
    StageGaveUp,
    TaskFailedForGood,
)
from rddlite.serde.failure import capture

JOB = JobId(3)


def failed(outcome: TaskOutcome, note: str = "") -> Exception:
    return verdict(
        JOB,
        TaskFailedForGood(
            StageId(5), ResultStage(JOB), "collect at job.py:9", 2, 1, ExecutorId("0"), "here", outcome, note
        ),
    )


def user_failure() -> Failure:
    try:
        int("x")
    except ValueError as error:
        return capture(error, record="'x'", operation="map(int) at job.py:4")
    raise AssertionError


def test_the_users_own_error_comes_first_and_is_the_cause() -> None:
    error = failed(Raised(user_failure(), True), "failed 1 time")
    assert isinstance(error, JobFailed)
    assert isinstance(error.__cause__, ValueError)
    lines = str(error).splitlines()
    assert any("invalid literal for int()" in line for line in lines)
    assert lines[-3:] == [
        "  record: 'x'",
        "  in map(int) at job.py:4",
        "  stage 5 (collect at job.py:9), partition 2, host here, executor 0, attempt 2 (failed 1 time)",
    ]
    assert (error.record, error.operation, error.partition, error.attempt) == ("'x'", "map(int) at job.py:4", 2, 1)
    assert "rddlite/" not in str(error)


def test_out_of_memory_tells_what_was_too_large_and_what_helps() -> None:
    error = failed(OutOfMemory(512 << 20, 700 << 20, "map(f) at job.py:1", "it held about 3.0 MiB"))
    assert str(error).startswith("out of memory in map(f) at job.py:1 (it held about 3.0 MiB): the task's worker ")
    assert "more partitions" in str(error)
    assert "executor.memory" in str(error)
    assert "stage 5 (collect at job.py:9), partition 2" in str(error)
    assert error.operation == "map(f) at job.py:1"
    assert "700.0 MiB of its limit of 512.0 MiB" in str(error)
    assert isinstance(error.__cause__, OutOfMemoryError)
    assert isinstance(error.__cause__, MemoryError)
    assert (error.__cause__.limit, error.__cause__.peak) == (512 << 20, 700 << 20)


def test_memory_that_was_refused_is_not_said_to_have_been_used() -> None:
    error = failed(OutOfMemory(512 << 20, 20 << 20, "map(f) at job.py:1"))
    assert "worker has a limit of 512.0 MiB, and at 20.0 MiB was asked for more at once than that leaves" in str(error)
    assert "reached" not in str(error)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (WorkerDied(None, signal.SIGSEGV, 1 << 20, "Fatal Python error"), "was ended by SIGSEGV, at a peak of 1.0 MiB"),
        (WorkerDied(23, None), "ended with exit code 23"),
        (WorkerDied(None, 200), "was ended by signal 200"),
    ],
)
def test_dead_workers_tell_how(outcome: WorkerDied, text: str) -> None:
    error = failed(outcome)
    assert text in str(error)
    assert isinstance(error.__cause__, WorkerCrashed)
    assert outcome.stderr_tail in str(error)


def test_a_dumped_stack_is_cut_to_the_users_frames() -> None:
    dump = "\n".join(
        [
            "Fatal Python error: Segmentation fault",
            '  File "/usr/lib/python3/ctypes/__init__.py", line 519 in string_at',
            '  File "/home/ann/job.py", line 3 in parse',
            '  File "<rddlite fused 1>", line 6 in fused',
            f'  File "{verdict.__code__.co_filename}", line 74 in run_worker',
            '  File "<frozen runpy>", line 198 in _run_module_as_main',
        ]
    )
    error = failed(WorkerDied(None, signal.SIGSEGV, 1 << 20, dump))
    written = str(error).splitlines()
    assert written[2:5] == [f"    {line}" for line in dump.splitlines()[:3]]
    assert len(written) == 6
    assert str(error.__cause__) == written[0], "Python prints the cause too: once is enough"


def test_other_ends() -> None:
    lost = FetchFailed(ShuffleId(1), 4, ExecutorId("0"), AttemptId(9), "the file is gone")
    assert "output 4 of shuffle 1" in str(failed(lost))
    assert "was killed: no reason" in str(failed(Killed("no reason")))
    assert isinstance(verdict(JOB, Cancelled("Ctrl-C")), JobCancelled)


def test_the_end_of_executors_is_told_to_the_root() -> None:
    killed = ExecutorGone(ExecutorId("2"), "X", "its process got SIGKILL")
    gone = verdict(JOB, NoExecutorsLeft(30.0, (killed, "no more machines")))
    assert isinstance(gone, NoExecutors)
    assert "on for 30.0 s:" in str(gone)
    assert "on, and none will come:" in str(verdict(JOB, NoExecutorsLeft(0.0, ("no more machines",))))
    assert ":\n  executor 2 on X was lost: its process got SIGKILL\n  no more machines\n" in str(gone)
    assert str(gone).endswith("see the executors' own output for why they ended")
    missed = LostInput(ShuffleId(1), 3, ExecutorId("2"), "connection refused", killed)
    given_up = verdict(JOB, StageGaveUp(StageId(1), "map at x.py:1", 4, (missed, replace(missed, gone=None))))
    assert "2 times in a row without progress:\n" in str(given_up)
    reason = "output 3 of shuffle 1 could not be read from executor 2: connection refused"
    assert f"{reason} because executor 2 on X was lost: its process got SIGKILL\n  {reason}\n" in str(given_up)


def test_where_executors_may_join_it_is_told_how() -> None:
    none = str(verdict(JOB, NoExecutorsLeft(30.0, ()), "rddlite executor --driver x"))
    assert none == "job 3 had no executor to run on for 30.0 s\nexecutors join with\n  rddlite executor --driver x"
    killed = ExecutorGone(ExecutorId("2"), "X", "its process got SIGKILL")
    left = str(verdict(JOB, NoExecutorsLeft(30.0, (killed,)), "rddlite executor --driver x"))
    assert "own output for why they ended\nexecutors join with\n  rddlite executor --driver x" in left
