"""The command line, environment and pipes of one executor process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from rddlite.base.ids import ExecutorId

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class ExecutorSpec:
    """What one executor process is to be."""

    executor: ExecutorId
    endpoint: str
    slots: int
    scratch: str


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The driver's environment with what executors need: the hash seed that places keys alike, the driver's
    `sys.path`, and one thread per worker for numeric libraries (unless the user chose).
    """
    env = dict(inherited)
    env["PYTHONHASHSEED"] = "0"
    env["PYTHONUNBUFFERED"] = "1"
    env["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    for name in _ONE_THREAD:
        env.setdefault(name, "1")
    return env


def start_executor(spec: ExecutorSpec) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own; its stdin is a pipe whose end tells it that the driver is gone."""
    command = [
        sys.executable, "-m", "rddlite.executor.main",
        "--endpoint", spec.endpoint,
        "--executor", spec.executor,
        "--slots", str(spec.slots),
        "--scratch", spec.scratch,
        "--driver-pid", str(os.getpid()),
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment(os.environ), start_new_session=True)
