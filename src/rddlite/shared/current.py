"""The one context variable: the task now running in this process, if any."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """Which task attempt this code runs in."""

    stage: int
    partition: int
    attempt_number: int
    attempt: int


current_task: ContextVar[CurrentTask | None] = ContextVar("rddlite_current_task", default=None)
