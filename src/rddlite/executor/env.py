"""The explicit bundle of what a task runner may use: built once per worker process and passed down.

There is no global to reach it by; what a task itself may know of is in `shared/current.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import AttemptId, TaskResult


@dataclass(frozen=True, slots=True)
class ExecutorEnv:
    """What tasks of one executor share.

    `scratch` is the executor's own directory: map outputs are in `shuffle/` below it, results in `results/`; both
    exist. `memory_limit` is the most resident bytes that one worker may have (None: not limited). `inline` means that
    tasks run in the driver's own process.
    """

    settings: Settings
    executor_id: str
    host: str
    scratch: str
    clock: Clock
    memory_limit: int | None = None
    inline: bool = False


def result_path(scratch: str, attempt: AttemptId) -> str:
    """Where the result of an attempt goes that is too large for a message."""
    return os.path.join(scratch, "results", str(TaskResult(attempt)))
