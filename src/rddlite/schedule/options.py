"""The few numbers that the scheduler's decisions depend on. Immutable; made by the driver from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Limits and waits. Times are seconds.

    `max_failures` bounds attempts in which user code raised, `max_deaths` those whose worker process ended; both are
    counted per task. `launch_ahead` is how many tasks per slot may queue at an executor beyond its slots.
    `locality_wait` is how long a free slot stays free for the sake of a task that prefers another live host.
    `kill_repeat` is after how long an unanswered `Kill` is sent again.
    """

    max_failures: int = 4
    max_deaths: int = 4
    fail_fast: bool = True
    stage_max_attempts: int = 4
    launch_ahead: int = 4
    silence: float = 15.0
    grace: float = 30.0
    locality_wait: float = 0.5
    kill_repeat: float = 10.0

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], default_max_failures: int = 4) -> SchedulerOptions:
        """The options for these settings; `default_max_failures` is what `task.maxFailures` means when it is auto."""
        return cls(
            max_failures=settings["task.maxFailures"] or default_max_failures,
            max_deaths=settings["task.maxDeaths"],
            fail_fast=settings["task.failFast"],
            stage_max_attempts=settings["stage.maxAttempts"],
            launch_ahead=settings["scheduler.launchAhead"],
            silence=settings["executor.silence"],
            grace=settings["executor.grace"],
            kill_repeat=max(10.0, 2.0 * settings["task.killGrace"]),
        )
