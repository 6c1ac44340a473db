"""The command line, environment and pipes of one executor process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    """What one executor process is to be.

    `host` is a label of its own for an executor that counts as a host of its own; empty for one of this host. `keys`
    is what it needs to be admitted over TCP, as a line of text; empty where there are none. `variables` are for its
    environment, beside the driver's.
    """

    executor: ExecutorId
    endpoint: str
    slots: int
    scratch: str
    host: str = ""
    keys: str = field(default="", repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def environment(inherited: Mapping[str, str], variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The driver's environment and the program's `variables`, with what executors need: the hash seed that places keys
    alike, the driver's `sys.path`, and one thread per worker for numeric libraries (unless the user chose).
    """
    chosen = variables or {}
    env = {**inherited, **chosen}
    env["PYTHONHASHSEED"] = "0"
    env["PYTHONUNBUFFERED"] = "1"
    first = [path for path in chosen.get("PYTHONPATH", "").split(os.pathsep) if path]
    env["PYTHONPATH"] = os.pathsep.join([*first, *(path or os.getcwd() for path in sys.path)])
    for name in _ONE_THREAD:
        env.setdefault(name, "1")
    return env


def start_executor(spec: ExecutorSpec) -> subprocess.Popen[bytes]:
    """Start the process in a session of its own. Its stdin is a pipe: the keys come through it first, and later its end
    tells that the driver is gone.
    """
    command = [
        sys.executable, "-m", "rddlite.executor.main",
        "--endpoint", spec.endpoint,
        "--executor", spec.executor,
        "--slots", str(spec.slots),
        "--scratch", spec.scratch,
        "--driver-pid", str(os.getpid()),
    ]  # fmt: skip
    if spec.host:
        command += ["--host", spec.host]
    env = environment(os.environ, spec.variables)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, start_new_session=True, bufsize=0)
    if spec.keys:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is noticed as any other
            process.stdin.write(spec.keys.encode() + b"\n")
    return process
