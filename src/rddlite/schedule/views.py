"""What the scheduler shows of itself: frozen copies, made when asked for."""

from __future__ import annotations

from dataclasses import dataclass

from rddlite.base.ids import AttemptId, ExecutorId, StageId
from rddlite.plan.model import StageKey


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt that occupies an executor. `is_killed` tells whether its end was asked for."""

    attempt: AttemptId
    stage: StageId
    key: StageKey
    index: int
    number: int
    is_killed: bool


@dataclass(frozen=True, slots=True)
class ExecutorView:
    """One executor that belongs to the application. `state` is `alive`, `excluded`, `suspect` or `draining`."""

    id: ExecutorId
    host: str
    slots: int
    state: str
    attempts: tuple[AttemptView, ...]
