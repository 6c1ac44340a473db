"""The explicit bundle of what a task runner may use: built once per worker process and passed down.

There is no global to reach it by; what a task itself may know of is in `shared/current.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from rddlite.base.clock import Clock
from rddlite.base.config import Settings


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
