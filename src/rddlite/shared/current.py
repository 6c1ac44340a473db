"""The one context variable: the task now running in this process, if any."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rddlite.shared.accumulator import Gathered
    from rddlite.shared.store import BroadcastStore


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """Which task attempt this code runs in. `updates` is what it has added to accumulators so far, by their ids;
    `broadcasts` is where it finds the values of broadcasts, `properties` are those of the thread that started its job,
    `views` what `taskcontext` hands out.
    """

    stage: int
    partition: int
    attempt_number: int
    attempt: int
    updates: dict[int, Gathered] = field(default_factory=dict)
    broadcasts: BroadcastStore | None = None
    properties: dict[str, str] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)


current_task: ContextVar[CurrentTask | None] = ContextVar("rddlite_current_task", default=None)
