"""What comes late, twice, wrapped, or from whom nobody wants it any more: each answer counts once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.errors import JobCancelled, JobFailed
from rddlite.testing.faults import Faults
from tests.helpers.background import in_the_background
from tests.helpers.cluster import (
    EXPECTED,
    MAPS,
    NO_COPIES,
    PATIENT,
    REDUCES,
    assert_accounted,
    assert_saved,
    counts,
    kill,
    wait_for_executors,
    wait_until,
)


def is_first(marker: Path) -> bool:
    """Whether nobody made this marker before, in whichever process."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def read_over_the_network(record: int, folder: Path) -> int:
    """Fails twice as libraries fail: what the world did is wrapped, and wrapped again."""
    try:
        try:
            if record == 7 and (is_first(folder / "first") or is_first(folder / "second")):
                raise ConnectionResetError("connection reset by peer")
        except OSError as error:
            raise LookupError("the store does not answer") from error
    except LookupError as error:
        raise ValueError(f"cannot read {record}") from error
    return record


def test_a_retryable_error_is_retried_however_it_is_wrapped(tmp_path: Path) -> None:
    """Twice the same error for the same record: it would count as the program's own if it were not the world's."""
    with Context("local-cluster[2,1,256m]", conf={**PATIENT, **NO_COPIES}) as sc:
        numbers = sc.range(20, numSlices=4).map(lambda x: read_over_the_network(x, tmp_path))
        assert numbers.collect() == list(range(20))
        assert sc.jobs()[-1].attempts == 4 + 2


def test_an_error_of_the_program_is_not() -> None:
    def fail(record: int) -> int:
        try:
            return 1 // (record - 7)
        except ZeroDivisionError as error:
            raise ValueError(f"cannot read {record}") from error

    with Context("local-cluster[2,1,256m]", conf={**PATIENT, **NO_COPIES}) as sc:
        with pytest.raises(JobFailed, match="cannot read 7") as caught:
            sc.range(20, numSlices=4).map(fail).collect()
        assert isinstance(caught.value.__cause__, ValueError)
        assert sc.jobs()[-1].failed == 2


@pytest.mark.parametrize("point", ["task.map", "map.write", "map.commit", "task.reduce", "fetch.start", "fetch.block"])
@pytest.mark.parametrize("action", ["raise", "raise-full", "raise-wrapped"])
def test_the_world_fails_for_a_moment(faults: Faults, point: str, action: str) -> None:
    faults.arm(point, action)
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
        assert dict(counts(sc).collect()) == EXPECTED
        assert faults.fired(point) == 1
        assert_accounted(sc)


def stubborn(folder: Path) -> None:
    """Wait for a file, whatever anybody says. Whoever kills this attempt gets a success from it all the same."""
    is_open = False
    while not is_open:
        try:
            (folder / "begun").touch()
            while not (folder / "gate").exists():
                time.sleep(0.005)
            is_open = True
        except BaseException:
            (folder / "killed").touch()
    (folder / "ended").touch()


PATIENT_WITH_TASKS = {"task.killGrace": "1h"}


def test_killed_attempts_of_a_cancelled_job_report_success(tmp_path: Path) -> None:
    def wait_once(pair: tuple[str, int]) -> tuple[str, int]:
        if is_first(tmp_path / "one"):
            stubborn(tmp_path)
        return pair

    with Context("local-cluster[2,1,256m]", conf={**PATIENT, **PATIENT_WITH_TASKS}) as sc:
        before = wait_for_executors(sc, 2)

        def cancel() -> None:
            wait_until((tmp_path / "begun").exists, "the task waits")
            sc.cancelJobGroup("doomed")
            wait_until((tmp_path / "killed").exists, "it is told to stop")
            (tmp_path / "gate").touch()

        sc.setJobGroup("doomed", "its tasks do not listen")
        summed = counts(sc)
        with in_the_background(cancel), pytest.raises(JobCancelled):
            summed.map(wait_once).collect()
        sc.setJobGroup("next", "the same records again")
        assert dict(summed.map(wait_once).collect()) == EXPECTED
        assert_accounted(sc)
        assert wait_for_executors(sc, 2) == before


def appear(path: Path, content: str) -> None:
    """A file that has its content from the moment that it is there."""
    unnamed = path.with_suffix(".begun")
    unnamed.write_text(content)
    unnamed.rename(path)


EAGER = {
    **PATIENT_WITH_TASKS,
    "speculation": "true",
    "speculation.minimum": "100ms",
    "speculation.quantile": "0.5",
}


@pytest.mark.parametrize("killed", [None, "slow", "copy"])
def test_a_slow_task_is_copied_and_output_is_saved_once(tmp_path: Path, killed: str | None) -> None:
    """Both attempts of a task run at the same time; the executor of one of them may be killed then. The slow one does
    not listen, and succeeds when all is published: if its copy is killed, there is another one.
    """
    target = tmp_path / "there" / "out"
    target.parent.mkdir()

    def slowly(index: int, part: Iterator[tuple[str, int]]) -> Iterator[str]:
        if is_first(tmp_path / "first"):
            appear(tmp_path / "slow", f"{os.getpid()} {index}")
            stubborn(tmp_path)
        elif is_copy(index) and is_first(tmp_path / "second"):
            appear(tmp_path / "copy", f"{os.getpid()} {index}")
            wait_until((tmp_path / "go on").exists, "the copy may go on")
        return (f"{word} {n}" for word, n in part)

    def is_copy(index: int) -> bool:
        slow = tmp_path / "slow"
        return slow.exists() and slow.read_text().split()[1:] == [str(index)]

    with Context("local-cluster[3,1,256m]", conf={**PATIENT, **EAGER}) as sc:
        wait_for_executors(sc, 3)

        def interfere() -> None:
            wait_until((tmp_path / "copy").exists, "the slow one is copied")
            if killed is not None:
                worker = int((tmp_path / killed).read_text().split()[0])
                kill(sc, next(each.id for each in sc.executors if worker in each.workers))
            (tmp_path / "go on").touch()

        with in_the_background(interfere):
            counts(sc).mapPartitionsWithIndex(slowly).saveAsTextFile(target)
        assert_saved(target, EXPECTED, REDUCES)
        job = sc.jobs()[-1]
        assert job.copied >= (2 if killed == "copy" else 1)
        assert job.attempts > MAPS + REDUCES
        assert_accounted(sc)
        (tmp_path / "gate").touch()
        if killed != "slow":
            wait_until((tmp_path / "ended").exists, "the slow one succeeds as well")
        assert dict(counts(sc).collect()) == EXPECTED
    assert_saved(target, EXPECTED, REDUCES)
