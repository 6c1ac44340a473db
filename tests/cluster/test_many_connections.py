"""A thousand executors at one driver: all register, all are heard, and a job runs a task on each."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from rddlite import Context
from tests.cluster.joiners import PATIENCE, ROOT, address
from tests.helpers.cluster import wait_until

N_EXECUTORS = 1_000
N_PROCESSES = 4
SHARE = N_EXECUTORS // N_PROCESSES
LONG = 400.0
"""Seconds: a thousand handshakes and registrations of a few milliseconds each, on a machine that is very busy."""


def start_share(sc: Context, first: int, log: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    """A process with a share of the executors; the end of the test ends it, however it ends."""
    driver, key_file = address(sc)
    with open(log, "wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.stub_executors", driver, key_file, str(first), str(SHARE)],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
            stdin=subprocess.DEVNULL,
            stdout=told,
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


@pytest.mark.timeout(900)
@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2 * N_EXECUTORS + 500, reason="too few open files are allowed here"
)
def test_a_thousand_executors(tmp_path: Path) -> None:
    logs = [tmp_path / f"share-{i}" for i in range(N_PROCESSES)]
    with ExitStack() as stack:
        with Context("rdd://127.0.0.1:0", conf={"executor.silence": "1h", "progress.show": "false"}) as sc:
            processes = [start_share(sc, i * SHARE, log, stack) for i, log in enumerate(logs)]
            names = [str(i) for i in range(N_EXECUTORS)]
            wait_until(lambda: len(sc.executors) == N_EXECUTORS, "all of them register", LONG)
            assert sorted(executor.id for executor in sc.executors) == sorted(names)
            wait_until(
                lambda: all(executor.memory >= 2 for executor in sc.executors), "each sends two heartbeats", LONG
            )
            assert {executor.state for executor in sc.executors} == {"alive"}

            assert sorted(sc.range(N_EXECUTORS, numSlices=N_EXECUTORS).collect()) == sorted(names)
            summary = sc.jobs()[-1]
            assert summary.attempts == N_EXECUTORS
            assert len(sc.executors) == N_EXECUTORS
        for process in processes:
            assert process.wait(PATIENCE) == 0
    told = [json.loads(log.read_text()) for log in logs]
    assert [share["registered"] for share in told] == [SHARE] * N_PROCESSES
    assert [share["tasks"] for share in told] == [[1] * SHARE] * N_PROCESSES
