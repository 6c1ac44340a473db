"""What comes late, twice, wrapped, or from whom nobody wants it any more: each answer counts once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from rddlite import Context
from rddlite.errors import JobCancelled, JobFailed
from rddlite.testing.faults import Faults
from tests.helpers.cluster import (
    EXPECTED,
    PATIENT,
    assert_accounted,
    counts,
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
    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
        numbers = sc.range(20, numSlices=4).map(lambda x: read_over_the_network(x, tmp_path))
        assert numbers.collect() == list(range(20))
        assert sc.jobs()[-1].attempts == 4 + 2


def test_an_error_of_the_program_is_not() -> None:
    def fail(record: int) -> int:
        try:
            return 1 // (record - 7)
        except ZeroDivisionError as error:
            raise ValueError(f"cannot read {record}") from error

    with Context("local-cluster[2,1,256m]", conf=PATIENT) as sc:
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
    (folder / "begun").touch()
    while not (folder / "gate").exists():
        try:
            time.sleep(0.005)
        except BaseException:
            (folder / "killed").touch()
    (folder / "ended").touch()


PATIENT_WITH_TASKS = {**PATIENT, "task.killGrace": "1h"}


def test_killed_attempts_of_a_cancelled_job_report_success(tmp_path: Path) -> None:
    def wait_once(pair: tuple[str, int]) -> tuple[str, int]:
        if is_first(tmp_path / "one"):
            stubborn(tmp_path)
        return pair

    with Context("local-cluster[2,1,256m]", conf=PATIENT_WITH_TASKS) as sc:
        before = wait_for_executors(sc, 2)

        def cancel() -> None:
            wait_until((tmp_path / "begun").exists, "the task waits")
            sc.cancelJobGroup("doomed")
            wait_until((tmp_path / "killed").exists, "it is told to stop")
            (tmp_path / "gate").touch()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        sc.setJobGroup("doomed", "its tasks do not listen")
        summed = counts(sc)
        with pytest.raises(JobCancelled):
            summed.map(wait_once).collect()
        canceller.join()
        sc.setJobGroup("next", "the same records again")
        assert dict(summed.map(wait_once).collect()) == EXPECTED
        assert_accounted(sc)
        assert wait_for_executors(sc, 2) == before
