"""The explicit bundle of what a task runner may use: built once per worker process and passed down.

There is no global to reach it by; what a task itself may know of is in `shared/current.py`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple

from rddlite.base.clock import Clock
from rddlite.base.config import Settings
from rddlite.base.ids import AttemptId, TaskResult
from rddlite.executor.barrier import Meet
from rddlite.shared.store import BroadcastStore
from rddlite.storage.blocks import BlockStore


class DriverPlace(NamedTuple):
    """Where blocks of the driver are: the address of its block server, its scratch directory and token."""

    address: str = ""
    scratch: str = ""
    token: str = ""


NO_DRIVER_PLACE = DriverPlace()


@dataclass(frozen=True, slots=True)
class ExecutorEnv:
    """What tasks of one executor share.

    `scratch` is the executor's own directory: map outputs are in `shuffle/` below it, results in `results/`, what is
    written for lack of memory in `spill/`; all exist. `memory_limit` is the most resident bytes that one worker may
    have (None: not limited). `inline` means that tasks run in the driver's own process. `keys` (`ExecutorKeys` as text)
    are for block servers of other hosts; empty where there are none. `progress` is where the number of records read so
    far is written, if anybody looks (`interrupt.RECORDS`).
    """

    settings: Settings
    executor_id: str
    host: str
    scratch: str
    clock: Clock
    memory_limit: int | None = None
    inline: bool = False
    keys: str = field(default="", repr=False)
    driver: DriverPlace = NO_DRIVER_PLACE
    progress: memoryview | None = None
    broadcasts: BroadcastStore | None = None
    blocks: BlockStore | None = None
    """The cached partitions that this process keeps."""
    meet: Meet | None = None
    """How tasks of barrier stages wait for others."""


def result_path(scratch: str, attempt: AttemptId) -> str:
    """Where the result of an attempt goes that is too large for a message."""
    return os.path.join(scratch, "results", str(TaskResult(attempt)))
