"""The few numbers that the scheduler's decisions depend on. Immutable; made by the driver from its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rddlite.errors import ConfigError

_POOLS_FORM = 'a JSON object of pools, as {"etl": {"weight": 2, "minShare": 4}}'


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """One pool of jobs: its share beside others, and how many tasks it may run before others get more."""

    name: str
    weight: int = 1
    min_share: int = 0


DEEPER = 16
"""How many times as many tasks queue where all are short."""
_SHORT_TASK = 0.02


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """Limits and waits. Times are seconds.

    `max_failures` bounds attempts in which user code raised, `max_deaths` those whose worker process ended; both are
    counted per task. `launch_ahead` is how many tasks per slot may queue at an executor beyond its slots; fewer, but
    not less than one, where that would be more than `enough_ahead` over all executors; and `DEEPER` times as many while
    no task of the stage took longer than `short_task` lately: the driver then hears and sends many at a time.
    An executor is suspect after `quiet` without a sign of life, and lost after `silence`.
    `locality_wait` is how long a free slot stays free for the sake of a task that prefers another live host;
    `retry_wait` how long a task waits for an executor where it has not failed.
    `kill_repeat` is after how long an unanswered `Kill` is sent again. An executor that wants to leave may do so after
    `drain_limit` at the latest.
    A barrier stage waits for slots that are not there for `barrier_wait`, and not at all for more than `most_slots`
    (None: nobody knows how many there may be).
    `exclude_after` failures on an executor exclude it; each counts half after `exclude_half_life`.
    `speculation` copies attempts that are `speculation_multiplier` times slower than others, once `_quantile` of their
    stage is done, and after `_minimum`. `mode` is FIFO or FAIR; `pools` are those of which more is known than the name.
    """

    max_failures: int = 4
    max_deaths: int = 4
    fail_fast: bool = True
    stage_max_attempts: int = 4
    launch_ahead: int = 4
    enough_ahead: int = 4096
    short_task: float = _SHORT_TASK
    quiet: float = 3.0
    silence: float = 15.0
    grace: float = 30.0
    locality_wait: float = 0.5
    retry_wait: float = 10.0
    kill_repeat: float = 10.0
    drain_limit: float = 60.0
    barrier_wait: float = 600.0
    most_slots: int | None = None
    exclude: bool = True
    exclude_after: float = 3.0
    exclude_half_life: float = 60.0
    speculation: bool = True
    speculation_quantile: float = 0.75
    speculation_multiplier: float = 2.0
    speculation_minimum: float = 1.0
    mode: str = "FIFO"
    pools: tuple[PoolOptions, ...] = ()

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], default_max_failures: int = 4, most_slots: int | None = None
    ) -> SchedulerOptions:
        """The options for these settings; `default_max_failures` is what `task.maxFailures` means when it is auto.

        Raises:
            ConfigError: if they contradict each other, or `scheduler.pools` cannot be read.
        """
        mode, ahead = settings["scheduler.mode"], settings["scheduler.launchAhead"]
        return cls(
            max_failures=settings["task.maxFailures"] or default_max_failures,
            max_deaths=settings["task.maxDeaths"],
            fail_fast=settings["task.failFast"],
            stage_max_attempts=settings["stage.maxAttempts"],
            # What queues at an executor has its turn there before any pool that comes later.
            launch_ahead=min(ahead, 1) if mode == "FAIR" else ahead,
            short_task=0.0 if mode == "FAIR" else _SHORT_TASK,
            quiet=_quiet(settings["executor.heartbeat"], settings["executor.silence"]),
            silence=settings["executor.silence"],
            grace=settings["executor.grace"],
            locality_wait=settings["locality.wait"],
            kill_repeat=max(10.0, 2.0 * settings["task.killGrace"]),
            drain_limit=settings["executor.drainLimit"],
            barrier_wait=settings["barrier.slotsTimeout"],
            most_slots=most_slots,
            exclude=settings["exclude.enabled"],
            exclude_after=settings["exclude.after"],
            exclude_half_life=settings["exclude.halfLife"],
            speculation=settings["speculation"],
            speculation_quantile=settings["speculation.quantile"],
            speculation_multiplier=settings["speculation.multiplier"],
            speculation_minimum=settings["speculation.minimum"],
            mode=mode,
            pools=_pools(settings["scheduler.pools"]),
        )


def _quiet(heartbeat: float, silence: float) -> float:
    """Three heartbeats that did not come, but no less than three seconds, and before the silence is too long."""
    if not heartbeat < silence:
        raise ConfigError(
            f"executor.heartbeat ({heartbeat:g}s) must be shorter than executor.silence ({silence:g}s): an executor "
            "that reports more seldom than that counts as lost"
        )
    return min(max(3.0 * heartbeat, 3.0), (heartbeat + silence) / 2)


def _pools(text: str | None) -> tuple[PoolOptions, ...]:
    """What `scheduler.pools` says."""
    try:
        given = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"setting 'scheduler.pools' must be {_POOLS_FORM}, not {text!r}: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"setting 'scheduler.pools' must be {_POOLS_FORM}, not {text!r}")
    return tuple(_pool(name, values) for name, values in given.items())


def _pool(name: str, values: Any) -> PoolOptions:
    where = f"setting 'scheduler.pools': pool {name!r}"
    if not isinstance(values, dict) or not values.keys() <= {"weight", "minShare"}:
        raise ConfigError(f"{where} may have a weight and a minShare, not {values!r}")
    weight, min_share = values.get("weight", 1), values.get("minShare", 0)
    if type(weight) is not int or weight < 1:
        raise ConfigError(f"{where}: weight must be a whole number from 1 up, not {weight!r}")
    if type(min_share) is not int or min_share < 0:
        raise ConfigError(f"{where}: minShare must be a whole number from 0 up, not {min_share!r}")
    return PoolOptions(name, weight, min_share)
