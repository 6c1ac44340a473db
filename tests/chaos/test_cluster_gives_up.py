"""Inputs that are lost again and again: the job fails in the end, and says of each what became of it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rddlite import Context
from rddlite.errors import JobFailed
from rddlite.testing.faults import Faults
from tests.helpers.cluster import MAPS, NO_COPIES, PATIENT, counts, process_of, wait_for_executors, wait_until


def test_an_output_that_vanishes_again_and_again(tmp_path: Path) -> None:
    """Each attempt of the reducer deletes it before it reads."""

    def delete_first(part: Iterator[Any]) -> Iterator[Any]:
        for path in tmp_path.glob("rddlite-*/app-*/executor-0/shuffle/*.data"):
            path.unlink()
        return part

    conf = {**PATIENT, "local.dir": str(tmp_path), "stage.maxAttempts": 3}
    with Context("local-cluster[1,1,256m]", conf=conf) as sc:
        lost = sc.range(10, numSlices=1).map(lambda x: (x, x)).partitionBy(1).mapPartitions(delete_first)
        with pytest.raises(JobFailed) as caught:
            lost.collect()
        job = sc.jobs()[-1]
    told = str(caught.value).splitlines()
    assert re.fullmatch(
        r"stage \d+ \(.* at test_cluster_gives_up.py:\d+\) lost its inputs 3 times in a row without progress:", told[0]
    )
    for line in told[1:-1]:
        assert re.fullmatch(r"  output 0 of shuffle \d+ could not be read from executor 0: .+No such file.+", line)
    assert len(told) == 1 + 3 + 1
    assert job.state == "failed"
    assert [stage.attempts for stage in job.stages] == [3, 3]


def test_an_executor_that_is_killed_before_its_outputs_are_read(faults: Faults, tmp_path: Path) -> None:
    """The reducer comes to read when the driver knows already, and before the outputs are there again."""
    faults.arm("map.commit", "hold", times=100, after=MAPS)
    conf = {**PATIENT, **NO_COPIES, "local.dir": str(tmp_path), "stage.maxAttempts": 1}
    with Context("local-cluster[2,1,256m]", conf=conf) as sc:
        first, second = wait_for_executors(sc, 2)
        pids = {each: process_of(sc, each) for each in (first, second)}

        def kill_the_other(part: Iterator[Any]) -> Iterator[Any]:
            own = next(each for each in pids if pids[each] in ancestors())
            other = next(each for each in pids if each != own)
            os.kill(pids[other], signal.SIGKILL)
            # The driver removes its files when it has noted its end.
            wait_until(lambda: not list(tmp_path.glob(f"rddlite-*/app-*/executor-{other}")), "its end is noted")
            return part

        with pytest.raises(JobFailed) as caught:
            counts(sc).coalesce(1).mapPartitions(kill_the_other).collect()
        faults.release("map.commit")
    (told,) = str(caught.value).splitlines()[1:-1]
    found = re.fullmatch(
        r"  output \d+ of shuffle \d+ could not be read from executor (\w+): .+ because executor (\w+) on "
        r"executor-host-\d was lost: its process got SIGKILL",
        told,
    )
    assert found is not None, told
    assert found[1] == found[2]
    assert found[1] in (first, second)


def ancestors() -> set[int]:
    """The process ids of all processes above this one."""
    found, pid = set(), os.getpid()
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        found.add(pid)
    return found
