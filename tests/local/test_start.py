"""What a program and its workers load before they need it: every module costs each start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.local

NEVER = {"fsspec", "s3fs", "asyncio", "http", "ssl", "numpy", "pandas", "statistics"}
OF_OTHERS = {"rddlite.deploy.inline", "rddlite.deploy.cluster", "rddlite.net.fetch", "rddlite.net.serve", "rddlite.cli"}
OF_RUNNING_TASKS = {"rddlite.executor", "rddlite.spill"}
OF_THE_DRIVER = {"zmq", *(f"rddlite.{name}" for name in ("api", "deploy", "driver", "observe", "plan", "schedule"))}

A_JOB = """
import sys
from rddlite import Context
with Context("local[1]", conf={"progress.show": "false"}) as sc:
    pairs = sc.parallelize([("a", 1), ("b", 2)], 2).reduceByKey(lambda a, b: a + b)
    loaded = lambda _: [" ".join(__import__("sys").modules)]
    print(pairs.mapPartitions(loaded).first())
print(" ".join(sys.modules))
"""


def loaded_by(program: str) -> list[set[str]]:
    """The modules on each line that it prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_importing_the_package_loads_nothing_that_is_slow():
    (found,) = loaded_by("import rddlite, sys; print(' '.join(sys.modules))")
    slow = {"zmq", "msgpack", "cloudpickle", "dataclasses", "logging", "subprocess", "socket", "rddlite.api"}
    assert found & (slow | NEVER | OF_OTHERS | OF_RUNNING_TASKS) == set()


def test_a_job_on_this_host_loads_what_it_needs_in_driver_and_worker():
    worker, driver = loaded_by(A_JOB)
    assert driver & (NEVER | OF_OTHERS | OF_RUNNING_TASKS) == set()
    assert worker & (NEVER | OF_OTHERS | OF_THE_DRIVER) == set()
